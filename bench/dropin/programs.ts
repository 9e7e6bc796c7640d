/** The drop-in relay on either engine: the same program but for the line that names the engine. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "../places.ts";

/** What makes each engine, as `relay.ts` imports it. */
const MAKERS = { wasm: "createWasmEngine", reference: "createReferenceEngine" } as const;
export type Engine = keyof typeof MAKERS;

/**
 * Writes the program to `folder`, where it finds Culvert by its place, and returns its path. Throws
 * when more than one line had to change for the other engine.
 */
export function dropInRelay(folder: string, engine: Engine): string {
  const built = readFileSync(path.join(ROOT, "dist/bench/dropin/relay.js"), "utf8");
  const face = pathToFileURL(path.join(ROOT, "dist/src/index.js")).href;
  const ours = built.replaceAll('"../../src/index.js"', JSON.stringify(face)).split("\n");
  const lines = ours.map((line) => line.replace(MAKERS.wasm, MAKERS[engine]));
  const changed = lines.filter((line, at) => line !== ours[at]).length;
  if (changed !== (engine === "wasm" ? 0 : 1))
    throw new Error(`${changed} lines of the drop-in relay name its engine`);
  const file = path.join(folder, `relay-${engine}.mjs`);
  writeFileSync(file, lines.join("\n"));
  return file;
}
