// Writes docs/captures.md from the captures; with --check it only says whether the page is current.
import { readFileSync, writeFileSync } from "node:fs";
import { page } from "../dist/test/captures/page.js";

const PAGE = "docs/captures.md";

if (process.argv.includes("--check")) {
  if (readFileSync(PAGE, "utf8") !== page()) {
    console.error(`${PAGE} is not what the captures say: run 'node scripts/docs-captures.mjs'`);
    process.exitCode = 1;
  }
} else {
  writeFileSync(PAGE, page());
}
