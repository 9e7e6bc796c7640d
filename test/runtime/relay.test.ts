import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ConfigError } from "../../src/core/errors.ts";
import { startRelay } from "../../src/runtime/index.ts";
import { AdvertisementView, QueryView, emitDiscovery } from "../../src/wire/amt.ts";
import { enterNamespace, kernelTest } from "../os/namespace.ts";
import { Peer, REQUEST, configOf } from "./relay-peer.ts";

enterNamespace();

kernelTest("a relay tells the address that it is to advertise (RFC 7450 §5.3.3.2)", async () => {
  const relay = await startRelay("relay", configOf({ advertise: "192.0.2.9" }));
  const peer = await new Peer().open();
  try {
    const answer = new AdvertisementView(await peer.ask(emitDiscovery(7)));
    assert.deepEqual([answer.nonce, answer.relay], [7, "192.0.2.9"]);
  } finally {
    peer.close();
    await relay.stop();
  }
});

kernelTest("a relay that is stopped drains until its last gateway leaves", async () => {
  const relay = await startRelay("relay", configOf({ drain: 600 }));
  const peer = await new Peer().open();
  try {
    await peer.report("allow", "192.0.2.1");
    assert.equal(new QueryView(await peer.ask(REQUEST)).limit, false);
    assert.equal(relay.status().tunnels.length, 1);
    const stopped = relay.stop();
    assert.equal(new QueryView(await peer.ask(REQUEST)).limit, true);
    assert.equal(relay.status().state, "draining");
    assert.equal(relay.status().tunnels.length, 1);
    await peer.report("block", "192.0.2.1");
    await stopped;
    assert.equal(await relay.ended, undefined);
    assert.equal(relay.status().tunnels.length, 0);
  } finally {
    peer.close();
    await relay.stop();
  }
});

kernelTest("a drain ends when its time is over, and at once without a gateway", async () => {
  const empty = await startRelay("relay", configOf({ drain: 600 }));
  await empty.stop();
  const relay = await startRelay("relay", configOf({ drain: 0.05 }));
  const peer = await new Peer().open();
  await peer.report("allow", "192.0.2.1");
  await peer.ask(REQUEST);
  peer.close();
  assert.equal(relay.status().tunnels.length, 1);
  await relay.stop();
  assert.equal(relay.status().tunnels.length, 0);
});

kernelTest("a secret that is too short prevents the start, and leaves nothing behind", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "culvert-relay-"));
  try {
    const secretFile = path.join(folder, "secret");
    writeFileSync(secretFile, "short\n");
    await assert.rejects(startRelay("north", configOf({ secretFile })), ConfigError);
    writeFileSync(secretFile, "sixteen octets at least\n");
    const relay = await startRelay("north", configOf({ secretFile }));
    await relay.stop();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
