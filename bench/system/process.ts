/** Waiting for what a started program says. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** Milliseconds in which a program has to say that it is ready. */
const PATIENCE = 20_000;

/** Settles with the first line that `wanted` accepts; rejects if the program ends before. */
export function lineOf(
  child: ChildProcess,
  stream: Readable,
  wanted: (line: string) => boolean,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const seen: string[] = [];
    const lines = createInterface({ input: stream });
    const late = setTimeout(
      () => reject(new Error(`${commandOf(child)} says only: ${seen.join("\n")}`)),
      PATIENCE,
    );
    lines.on("line", (line) => {
      seen.push(line);
      if (!wanted(line)) return;
      lines.close();
      clearTimeout(late);
      resolve(line);
    });
    child.on("error", reject);
    child.on("close", (code, signal) =>
      reject(new Error(`${commandOf(child)} ended with ${signal ?? code}: ${seen.join("\n")}`)),
    );
  });
}

/** All that the program prints until it ends; rejects unless it ends well. */
export function outputOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (octets: Buffer) => (text += octets.toString()));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${commandOf(child)} ended with ${signal ?? code}`));
    });
  });
}

function commandOf(child: ChildProcess): string {
  return child.spawnargs.join(" ");
}
