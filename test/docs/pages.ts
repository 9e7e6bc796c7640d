/** The repository's pages, as tests read them. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root; tests run from `dist/test/docs`. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Every page that people read: those at the root and those under docs. */
export function pages(): string[] {
  const below = readdirSync(path.join(ROOT, "docs"), { recursive: true })
    .map((name) => path.join("docs", String(name)))
    .filter((name) => name.endsWith(".md"));
  return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...below].sort();
}

export function readPage(page: string): string {
  return readFileSync(path.join(ROOT, page), "utf8");
}
