import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { ROOT, readPage } from "./pages.ts";

interface Lint {
  readonly MAY_IMPORT: Readonly<Record<string, readonly string[]>>;
  complaints(file: string, text: string): string[];
}

const lint = (await import(
  pathToFileURL(path.join(ROOT, "scripts/lint-imports.mjs")).href
)) as Lint;

test("docs/architecture.md shows the import directions that lint proves", () => {
  const rows = [
    ...readPage("docs/architecture.md").matchAll(/^\| `([^`]+)` \|[^|]*\|([^|]*)\|$/gm),
  ];
  const shown = rows.map((row) => [
    row[1]!,
    [...row[2]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!),
  ]);
  assert.deepEqual(shown, Object.entries(lint.MAY_IMPORT));
});

test("an import against the direction is a complaint with both paths", () => {
  const [line] = lint.complaints("src/wire/amt.ts", 'import { x } from "../os/udp.ts";\n');
  assert.match(
    line!,
    /^src\/wire\/amt\.ts: imports src\/os\/udp\.ts, but src\/wire may import only/,
  );
});

test("sans-IO code may neither import from the host nor use it", () => {
  const complain = (text: string) => lint.complaints("src/protocols/amt/relay.ts", text);
  assert.equal(complain('import { createSocket } from "node:dgram";\n').length, 1);
  assert.equal(complain("const now = performance.now();\n").length, 1);
  assert.equal(complain('export const word = "performance.now()";\n').length, 0);
  assert.equal(complain('import { y } from "./tunnels.ts";\n').length, 0);
});

test("a file in no known folder is a complaint", () => {
  assert.equal(lint.complaints("lib/x.ts", "").length, 1);
});
