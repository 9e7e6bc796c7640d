/** Standard output for a command that only prints: a reader that goes away ends it quietly. */
import { EXIT_FINE } from "./exit.ts";

let guarded = false;

export function say(text: string): void {
  if (!guarded) {
    guarded = true;
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(EXIT_FINE);
      throw error;
    });
  }
  process.stdout.write(text);
}
