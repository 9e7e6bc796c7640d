import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { EXIT_FINE, Refusal } from "../../src/cli/exit.ts";
import { culvert } from "../../src/cli/program.ts";
import { readConfig } from "../../src/config/file.ts";
import { readL2tpCommand } from "../../src/config/l2tp-command.ts";
import { ROOT, readPage } from "./pages.ts";

const PAGES = ["README.md", "docs/guide/amt.md"];

/** The command lines of a page that start a service, as words. */
function commands(page: string): string[][] {
  const lines = readPage(page).matchAll(
    /culvert ((?:relay|gateway|receive) (?:--|'?amt:)[^`\n#|]+)/g,
  );
  return [...lines].map((line) => line[1]!.replaceAll("'", "").trim().split(/ +/));
}

for (const page of PAGES)
  test(`every command in ${page} is accepted as written`, async () => {
    const lines = commands(page);
    assert.ok(lines.length >= 3);
    for (const words of lines) {
      let reached = false;
      const code = await culvert(words, {
        starters: () => {
          reached = true;
          return Promise.reject(new Refusal("accepted", EXIT_FINE));
        },
        probes: () => Promise.resolve([]),
        demo: () => Promise.resolve(EXIT_FINE),
        bench: () => Promise.resolve(EXIT_FINE),
      });
      assert.ok(reached, `culvert ${words.join(" ")}`);
      assert.equal(code, EXIT_FINE);
    }
  });

test("the configuration file in the L2TP guide has no problems", () => {
  const [, text] = /```yaml\n([\s\S]*?)```/.exec(readPage("docs/guide/l2tp.md"))!;
  const config = readConfig(text!, "guide");
  assert.ok("instances" in config, JSON.stringify(config));
});

test("every command in the L2TP guide is accepted as written", () => {
  const page = readPage("docs/guide/l2tp.md").replaceAll(/\\\n\s+/g, "");
  const lines = [...page.matchAll(/^ {4}culvert l2tp ([^#\n]+)/gm)].map((line) => line[1]!.trim());
  assert.ok(lines.length >= 7);
  for (const line of lines) readL2tpCommand(line.split(/ +/));
});

test("the configuration file in the guide has no problems", () => {
  const [, text] = /```yaml\n([\s\S]*?)```/.exec(readPage("docs/guide/amt.md"))!;
  const config = readConfig(text!, "guide");
  assert.ok("instances" in config, JSON.stringify(config));
  assert.deepEqual(
    config.instances.map(({ role, name }) => [role, name]),
    [
      ["relay", "north"],
      ["gateway", "lab"],
    ],
  );
});

test("the library example in the README runs, and sends a message", () => {
  const [, code] = /```js\n([\s\S]*?)```/.exec(readPage("README.md"))!;
  const around = `
    const datagram = Uint8Array.of(0x60, 0, 0, 0, 0, 0, 17, 9,
      0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
      0xff, 0x3e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 1);
    const gateway = "192.0.2.2";
    const socket = { send: (octets, port, to) => console.log(octets.length, octets[0], port, to) };
  `;
  const run = spawnSync(process.execPath, ["--input-type=module"], {
    cwd: ROOT,
    input: around + code!,
    encoding: "utf8",
  });
  assert.equal(run.stderr, "");
  assert.equal(run.stdout, "42 6 2268 192.0.2.2\n");
});

test("the library guide quotes the relay that the benchmarks run", () => {
  const relay = readPage("bench/dropin/relay.ts").replaceAll('"../../src/index.ts"', '"culvert"');
  const blocks = [...readPage("docs/guide/library.md").matchAll(/```ts\n([\s\S]*?)```/g)];
  assert.ok(blocks.length >= 5);
  for (const [, block] of blocks) assert.ok(relay.includes(block!), block);
});
