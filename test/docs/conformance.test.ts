import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ROOT, readPage } from "./pages.ts";

/**
 * Tables of the pages: rows of a clause, what it asks, the code and the test; or of a clause, what
 * it asks and why that does not apply or is not done.
 */
const pages = readdirSync(path.join(ROOT, "docs/conformance")).map((name) => {
  const lines = readPage(`docs/conformance/${name}`).matchAll(/^\| (\d.*) \|$/gm);
  return { name, rows: [...lines].map((line) => line[1]!.split(" | ")) };
});

for (const { name, rows } of pages) {
  const claims = rows.filter((row) => row.length !== 3);

  test(`${name}: every claim of conformance names a test that exists, by file and title`, () => {
    assert.ok(claims.length >= 5);
    const unproved = claims.filter((row) => {
      const [, file, title] = /^`([^`]+)`: (.+)$/.exec(row[3] ?? "") ?? [];
      if (row.length !== 4 || file === undefined || title === undefined) return true;
      return !readFileSync(path.join(ROOT, file), "utf8").includes(title);
    });
    assert.deepEqual(unproved, []);
  });

  test(`${name}: every claim of conformance names its code`, () => {
    assert.deepEqual(
      claims.filter((row) => !/`(src|assembly)\/[^`]+`/.test(row[2] ?? "")),
      [],
    );
  });
}
