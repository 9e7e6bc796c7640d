import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readConfig } from "../../src/config/file.ts";
import { SYSTEMS } from "../../src/config/systems.ts";
import { docOf, flagOf } from "../../src/cli/flags.ts";
import { EXAMPLE, referencePage } from "../../src/cli/reference.ts";

test("the reference page is current (npm run docs:reference writes it)", async () => {
  assert.equal(readFileSync("docs/reference.md", "utf8"), await referencePage());
});

test("the reference page has every key, every flag and every name of the Linux driver", async () => {
  const page = await referencePage();
  for (const system of Object.values(SYSTEMS))
    for (const key of Object.keys(system.fields)) {
      assert.ok(page.includes(`| \`${key}\` |`), key);
      assert.ok(page.includes(`\`${flagOf(system.fields, key)}\``), key);
      assert.notEqual(docOf(system.fields, key).help, "");
    }
  for (const name of "mode local discovery relay_port gateway_port max_tunnels dev".split(" "))
    assert.ok(page.includes(`\n| \`${name}\` |`), name);
});

test("the file on the reference page is accepted as written", () => {
  const config = readConfig(EXAMPLE, "culvert.yaml");
  assert.ok(!("problems" in config));
  assert.deepEqual(
    config.instances.map(({ role, name }) => [role, name]),
    [
      ["relay", "north"],
      ["gateway", "home"],
      ["l2tp", "l2tp"],
    ],
  );
});
