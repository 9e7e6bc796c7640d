/** `culvert receive` as a process, with native code and without. */
import assert from "node:assert/strict";
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Readable } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { endpointText } from "../../src/core/address.ts";
import { readAll } from "../ports/captures.ts";
import { DgramRelay } from "./dgram-relay.ts";
import { datagram, GROUP, payload, SOURCE, testFolder, URL as STREAM } from "./streams.ts";

const COMMAND = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** What makes koffi fail as where its binary is of another machine. */
const NO_KOFFI = `
const { Module } = require("node:module");
const load = Module._load;
Module._load = (name, ...rest) => {
  if (name === "koffi") throw new Error("the native koffi module did not load");
  return load(name, ...rest);
};
`;

type Child = ChildProcessByStdio<null, Readable, Readable>;

interface Receiver {
  readonly child: Child;
  /** What it says to the operator, so far. */
  readonly said: () => string;
  readonly exit: Promise<unknown[]>;
}

function receive(
  relay: Pick<DgramRelay, "endpoint">,
  folder: string,
  native: boolean,
  ...more: string[]
): Receiver {
  const block = path.join(folder, "no-koffi.cjs");
  writeFileSync(block, NO_KOFFI);
  const child = spawn(
    process.execPath,
    [
      ...(native ? [] : ["--require", block]),
      COMMAND,
      "receive",
      STREAM,
      ...["--relay", endpointText(relay.endpoint), "--local", "127.0.0.1"],
      ...["--control", path.join(folder, "control.sock")],
      ...more,
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (more: string) => (text += more));
  return { child, said: () => text, exit: once(child, "exit") };
}

for (const native of [true, false]) {
  const kind = native ? "with native code" : "where no native code loads";

  test(`${kind}, a stream goes to standard output, to a reader however slow`, async (t) => {
    const relay = await DgramRelay.start(t);
    const { child, said, exit } = receive(relay, testFolder(t), native, "--count", "300");
    await relay.joined(GROUP, SOURCE);
    for (let i = 0; i < 300; i++) await relay.deliver(datagram(i), GROUP, SOURCE);
    const chunks: Buffer[] = [];
    // Read only now: more has come than a pipe holds.
    for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
    assert.deepEqual(await exit, [0, null], said());
    const expected = Buffer.concat(Array.from({ length: 300 }, (_, i) => payload(i)));
    assert.ok(Buffer.concat(chunks).equals(expected));
    assert.equal(/koffi's binary does not load/.test(said()), !native, said());
  });

  test(`${kind}, a reader that goes away ends the receiver, and one that sleeps does not hold it`, async (t) => {
    const relay = await DgramRelay.start(t);
    const gone = receive(relay, testFolder(t), native);
    await relay.joined(GROUP, SOURCE);
    gone.child.stdout.destroy();
    let ended = false;
    void gone.exit.then(() => (ended = true));
    for (let i = 0; !ended; i++) await relay.deliver(datagram(i), GROUP, SOURCE);
    assert.deepEqual(await gone.exit, [1, null]);
    assert.match(gone.said(), /EPIPE/);
    await relay.left();

    const asleep = receive(relay, testFolder(t), native);
    await relay.joined(GROUP, SOURCE);
    for (let i = 0; i < 600; i++) await relay.deliver(datagram(i), GROUP, SOURCE);
    asleep.child.kill("SIGTERM");
    assert.deepEqual(await asleep.exit, [0, null], asleep.said());
    await relay.left();
  });
}

test("a capture is what the command writes to a file that is called one", async (t) => {
  const relay = await DgramRelay.start(t);
  const folder = testFolder(t);
  const file = path.join(folder, "stream.pcapng");
  const { said, exit } = receive(relay, folder, true, "--count", "100", "-o", file);
  await relay.joined(GROUP, SOURCE);
  for (let i = 0; i < 120; i++) await relay.deliver(datagram(i), GROUP, SOURCE);
  assert.deepEqual(await exit, [0, null], said());
  const packets = readAll(readFileSync(file));
  assert.equal(packets.length, 100);
  for (const [i, { octets }] of packets.entries())
    assert.ok(payload(i).equals(octets.subarray(28)), `packet ${i}`);
});

test("a receiver that got too little says whether a relay has answered", async (t) => {
  const relay = await DgramRelay.start(t);
  const limits = ["--count", "2", "--timeout", "8"];
  const late = receive(relay, testFolder(t), true, ...limits);
  const closed = { endpoint: { address: "127.0.0.1", port: 9 } };
  const lost = receive(closed, testFolder(t), true, "--timeout", "0.2");
  assert.deepEqual(await lost.exit, [1, null]);
  assert.match(lost.said(), /^culvert: expected 1 datagram, got 0; no relay has answered$/m);
  await relay.joined(GROUP, SOURCE);
  await relay.deliver(datagram(0), GROUP, SOURCE);
  assert.deepEqual(await late.exit, [1, null]);
  assert.match(late.said(), /^culvert: expected 2 datagrams, got 1; the relay answers$/m);
});
