/** The small C programs of `bench/native`, built with the system's compiler into `.cache/bench`. */
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { requireTool, run } from "../../src/lab/tool.ts";
import { ROOT } from "../machine.ts";

export const PROGRAMS = ["source", "trains", "check", "pseudowire", "latency"] as const;
export type Native = (typeof PROGRAMS)[number];

/** Paths of the programs, built where they are older than their source. */
export function buildPrograms(): Record<Native, string> {
  const built = PROGRAMS.map((name) => [name, build(name)] as const);
  return Object.fromEntries(built) as Record<Native, string>;
}

function build(name: Native): string {
  const folder = path.join(ROOT, "bench/native");
  const source = path.join(folder, `${name}.c`);
  const program = path.join(ROOT, ".cache/bench", name);
  const headers = readdirSync(folder).filter((file) => file.endsWith(".h"));
  const read = [source, ...headers.map((file) => path.join(folder, file))];
  const newest = Math.max(...read.map((file) => statSync(file).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program;
  mkdirSync(path.dirname(program), { recursive: true });
  // The package that brings the C library's headers, too.
  const compiler = requireTool("cc", "build-essential");
  run(compiler, ["-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source]);
  return program;
}
