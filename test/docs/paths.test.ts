import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ROOT, pages, readPage } from "./pages.ts";

/** A path of the repository as pages write it: from a top folder on, to a file or a folder. */
const NAMED = /(?<![\w./-])(?:assembly|bench|docs|scripts|src|test|\.ci)\/[\w./-]*[\w/]/g;
/** The target of a Markdown link or picture. */
const LINK = /\]\(([^)\s]+)\)|<img[^>]+src="([^"]+)"/g;

/** How a heading is spelled in a link, as the usual renderers make it. */
function anchor(heading: string): string {
  return heading
    .replace(/`/g, "")
    .toLowerCase()
    .replace(/[^\w\s-]/g, "")
    .trim()
    .replace(/\s/g, "-");
}

function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map((match) => anchor(match[1]!));
}

test("every file that a page names exists", () => {
  const missing = pages().flatMap((page) =>
    [...readPage(page).matchAll(NAMED)]
      .map((match) => match[0])
      // A picture that a page makes of a path: "docs/adr/NNNN-title.md".
      .filter((name) => !name.includes("NNNN") && !existsSync(path.join(ROOT, name)))
      .map((name) => `${page} names ${name}`),
  );
  assert.deepEqual(missing, []);
});

test("every link between pages leads to a page and a heading of it", () => {
  const broken = pages().flatMap((page) => {
    const text = readPage(page);
    return [...text.matchAll(LINK)].flatMap((match) => {
      const link = (match[1] ?? match[2])!;
      if (/^[a-z]+:/.test(link)) return [];
      const [file, heading] = link.split("#");
      const target = file ? path.join(path.dirname(page), file) : page;
      if (!existsSync(path.join(ROOT, target))) return [`${page}: ${link}`];
      const found = heading === undefined || anchors(readPage(target)).includes(heading);
      return found ? [] : [`${page}: ${link}`];
    });
  });
  assert.deepEqual(broken, []);
});

test("the pages name files at all", () => {
  const named = readPage("docs/architecture.md").match(NAMED) ?? [];
  assert.ok(named.length > 20);
});

test("every decision has a number of its own and stands in the order of numbers", () => {
  const numbers = pages()
    .map((page) => /^docs\/adr\/(\d{4})-[a-z0-9-]+\.md$/.exec(page)?.[1])
    .filter((number) => number !== undefined)
    .map(Number);
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => i + 1),
  );
});
