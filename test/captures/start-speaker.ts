/** Starts the program of `speaker.ts`. */
import { fileURLToPath } from "node:url";
import type { Host, Program } from "../../src/lab/program.ts";
import type { Plan } from "./speaker.ts";

/** Waits until its socket is open. */
export async function startSpeaker(host: Host, plan: Plan): Promise<Program> {
  const file = fileURLToPath(new URL("speaker.js", import.meta.url));
  const program = host.start(process.execPath, [file, JSON.stringify(plan)]);
  await program.line(/^ready/, "stdout", 10_000);
  return program;
}
