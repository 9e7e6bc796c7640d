// Writes docs/drops.md from the drop table; with --check it only says whether the page is current.
import { readFileSync, writeFileSync } from "node:fs";
import { DROPS } from "../dist/src/core/drops.js";

const PAGE = "docs/drops.md";

const rows = [...DROPS]
  .sort((a, b) => (a.name < b.name ? -1 : 1))
  .map(({ name, meaning, verdict }) => `| \`${name}\` | ${meaning} | ${verdict} |`);

const page = `# Why packets are dropped

<!-- Written by scripts/docs-drops.mjs from src/core/drops.ts; edit there. -->

Every packet that Culvert takes in is forwarded, handed to the control thread, or dropped for one of
these reasons, and counted as that. \`culvert status\` lists the reasons that occurred, by the stage at
which they did. The words are the same in the status, in its JSON and in the library's
\`verdictName\`. The number indexes the counters of an arena and never changes.

| reason | meaning | number |
| --- | --- | --- |
${rows.join("\n")}

What to do about the common ones stands in the [user guide](guide/amt.md#drops-and-what-to-do).
`;

if (process.argv.includes("--check")) {
  if (readFileSync(PAGE, "utf8") !== page) {
    console.error(`${PAGE} is not what src/core/drops.ts says: run 'node scripts/docs-drops.mjs'`);
    process.exitCode = 1;
  }
} else {
  writeFileSync(PAGE, page);
}
