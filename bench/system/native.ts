/** The small C programs of `bench/native`, built with the system's compiler into `WORK`. */
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { requireTool, run } from "../../src/lab/tool.ts";
import { ROOT, WORK } from "../places.ts";

export const PROGRAMS = ["source", "trains", "check", "pseudowire", "latency", "devices"] as const;
export type Native = (typeof PROGRAMS)[number];

/** Paths of the programs, built where they are older than their source. */
export function buildPrograms(): Record<Native, string> {
  const built = PROGRAMS.map((name) => [name, build(name)] as const);
  return Object.fromEntries(built) as Record<Native, string>;
}

function build(name: Native): string {
  const folder = path.join(ROOT, "bench/native");
  const source = path.join(folder, `${name}.c`);
  const program = path.join(WORK, name);
  const headers = readdirSync(folder).filter((file) => file.endsWith(".h"));
  const read = [source, ...headers.map((file) => path.join(folder, file))];
  const newest = Math.max(...read.map((file) => statSync(file).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program;
  mkdirSync(path.dirname(program), { recursive: true });
  run(requireCompiler(), ["-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source]);
  return program;
}

/** The system's C compiler. Throws ToolError if it is absent and cannot be installed. */
export function requireCompiler(): string {
  // The package that brings the C library's headers, too.
  return requireTool("cc", "build-essential");
}
