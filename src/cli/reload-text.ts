import type { Reloaded } from "./reloader.ts";

/** What a reload has done, for people. */
export function reloadText({ added, changed, removed, kept, refused }: Reloaded): string {
  const counts = `${added} added, ${changed} changed, ${removed} removed, ${kept} left alone`;
  return [`reloaded: ${counts}`, ...refused.map((line) => `refused: ${line}`)].join("\n");
}
