import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ROOT, pages, readPage } from "./pages.ts";

/** The rows of the pages' tables: clause, what, code, test. */
const rows = pages()
  .filter((page) => page.startsWith("docs/conformance/"))
  .flatMap((page) =>
    [...readPage(page).matchAll(/^\| (\d[\d. ]*) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)].map(
      ([, clause, what, code, proof]) => ({
        clause: `${page} ${clause!}`,
        what: what!,
        code: code!,
        proof: proof!,
      }),
    ),
  );

test("every claim of conformance names a test that exists, by file and title", () => {
  assert.ok(rows.length > 90);
  const unproved = rows.filter(({ proof }) => {
    const [, file, title] = /^`([^`]+)`: (.+)$/.exec(proof) ?? [];
    if (file === undefined || title === undefined) return true;
    return !readFileSync(path.join(ROOT, file), "utf8").includes(title);
  });
  assert.deepEqual(
    unproved.map(({ clause, what, proof }) => `${clause} ${what}: ${proof}`),
    [],
  );
});

test("every claim of conformance names its code", () => {
  assert.deepEqual(
    rows.filter(({ code }) => !/`(src|assembly)\/[^`]+`/.test(code)),
    [],
  );
});
