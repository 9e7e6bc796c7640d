import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ROOT, readPage } from "./pages.ts";

/** The rows of the page's tables: clause, what, code, test. */
const rows = [
  ...readPage("docs/conformance/rfc7450.md").matchAll(
    /^\| (\d[\d.]*) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm,
  ),
].map(([, clause, what, code, proof]) => ({
  clause: clause!,
  what: what!,
  code: code!,
  proof: proof!,
}));

test("every claim of conformance names a test that exists, by file and title", () => {
  assert.ok(rows.length > 20);
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
