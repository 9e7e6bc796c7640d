/** The small C programs of `bench/native`, built with the system's compiler into `.cache/bench`. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { ROOT } from "../machine.ts";

export const PROGRAMS = ["source", "trains", "check"] as const;
export type Program = (typeof PROGRAMS)[number];

/** Paths of the programs, built where they are older than their source. */
export function buildPrograms(): Record<Program, string> {
  const built = PROGRAMS.map((name) => [name, build(name)] as const);
  return Object.fromEntries(built) as Record<Program, string>;
}

function build(name: Program): string {
  const folder = path.join(ROOT, "bench/native");
  const source = path.join(folder, `${name}.c`);
  const program = path.join(ROOT, ".cache/bench", name);
  const newest = Math.max(
    statSync(source).mtimeMs,
    statSync(path.join(folder, "payload.h")).mtimeMs,
  );
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program;
  mkdirSync(path.dirname(program), { recursive: true });
  const done = spawnSync("cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], {
    encoding: "utf8",
  });
  if (done.error)
    throw new Error("no C compiler: install one (on Debian: apt-get install gcc libc6-dev)", {
      cause: done.error,
    });
  if (done.status !== 0) throw new Error(`cc ${source}: ${done.stderr}`);
  return program;
}
