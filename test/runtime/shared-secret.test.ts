import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { ConfigError, OsError } from "../../src/core/errors.ts";
import { readSharedSecret } from "../../src/runtime/shared-secret.ts";

const folder = mkdtempSync(path.join(tmpdir(), "culvert-secret-"));
after(() => rmSync(folder, { recursive: true }));

function secretOf(text: string) {
  const file = path.join(folder, "secret");
  writeFileSync(file, text);
  return readSharedSecret(file, "north.secretFile");
}

test("one file gives the same keys everywhere, each epoch another, with or without a line end", () => {
  const one = secretOf("a secret of many octets");
  const two = secretOf("a secret of many octets\n");
  const other = secretOf("another secret of many octets");
  assert.equal(one.key(5).length, 4);
  assert.deepEqual(one.key(5), two.key(5));
  assert.notDeepEqual(one.key(5), one.key(6));
  assert.notDeepEqual(one.key(5), other.key(5));
});

test("a short secret and a file that is not there are refused", () => {
  assert.throws(() => secretOf("fifteen octets!\n"), ConfigError);
  assert.throws(() => readSharedSecret(path.join(folder, "none"), "x"), OsError);
});
