import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { AMT_REQUEST, AMT_UPDATE } from "../../assembly/layout/amt.ts";
import { ConfigError, OsError } from "../../src/core/errors.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { openDgram } from "../../src/os/dgram.ts";
import { startReceive } from "../../src/runtime/receive.ts";
import { hex, readAll } from "../ports/captures.ts";
import { DgramRelay } from "./dgram-relay.ts";
import { datagram, GROUP, payload, receiveConfig, SOURCE, testFolder } from "./streams.ts";

const COUNT = 400;

test("a portable receiver joins, writes a stream to a file, and leaves", async (t) => {
  const relay = await DgramRelay.start(t);
  const file = path.join(testFolder(t), "stream");
  const config = receiveConfig(
    relay.endpoint,
    { kind: "file", path: file },
    { count: COUNT, portable: true },
  );
  const service = await startReceive("receive", config);
  await relay.joined(GROUP, SOURCE);
  assert.deepEqual(service.status().relay, relay.endpoint);
  await relay.deliver(datagram(1, 5001), GROUP, SOURCE);
  for (let i = 0; i < COUNT + 5; i++) await relay.deliver(datagram(i), GROUP, SOURCE);
  assert.equal(await service.ended, undefined);
  await relay.left();
  const expected = Buffer.concat(Array.from({ length: COUNT }, (_, i) => payload(i)));
  assert.ok(readFileSync(file).equals(expected));
  const { counters, drops, state } = service.status();
  assert.equal(counters["egress_sent"], COUNT);
  assert.equal(drops["socket"]?.["udp-port"], 1);
  assert.equal(state, "stopped");
  const updates = relay.accepted.filter((type) => type === AMT_UPDATE);
  assert.ok(relay.accepted.includes(AMT_REQUEST));
  assert.ok(updates.length >= 2, "a join and a leave");
});

test("a portable receiver takes the relay of a list that answers, whatever its family", async (t) => {
  const relay = await DgramRelay.start(t);
  const nobody = { address: "::1", port: relay.endpoint.port };
  const output = { kind: "file", path: path.join(testFolder(t), "stream") } as const;
  const more = { local: undefined, relay: [nobody, relay.endpoint], count: 5, portable: true };
  const service = await startReceive("receive", receiveConfig(relay.endpoint, output, more));
  assert.deepEqual(
    service.status().local.map(({ address }) => address),
    ["::", "0.0.0.0"],
  );
  await relay.joined(GROUP, SOURCE);
  assert.deepEqual(service.status().relay, relay.endpoint);
  for (let i = 0; i < 5; i++) await relay.deliver(datagram(i), GROUP, SOURCE);
  assert.equal(await service.ended, undefined);
});

test("a portable receiver sends a stream on to an endpoint", async (t) => {
  const relay = await DgramRelay.start(t);
  const listener = await openDgram({ address: "127.0.0.1", port: 0 });
  const { port } = listener.address();
  const service = await startReceive(
    "receive",
    receiveConfig(
      relay.endpoint,
      { kind: "udp", to: { address: "127.0.0.1", port } },
      { portable: true },
    ),
  );
  await relay.joined(GROUP, SOURCE);
  for (let i = 0; i < 50; i++) {
    const arrival = once(listener, "message");
    await relay.deliver(datagram(i), GROUP, SOURCE);
    const [octets] = (await arrival) as [Buffer];
    assert.ok(octets.equals(payload(i)));
  }
  await service.stop();
  assert.equal(service.status().counters["egress_sent"], 50);
  listener.close();
});

test("what an endpoint cannot be sent is counted by its reason", async (t) => {
  const relay = await DgramRelay.start(t);
  const service = await startReceive(
    "receive",
    receiveConfig(
      relay.endpoint,
      { kind: "udp", to: { address: "255.255.255.255", port: 9 } },
      { portable: true },
    ),
  );
  await relay.joined(GROUP, SOURCE);
  await relay.deliver(datagram(0), GROUP, SOURCE);
  while (!service.status().drops["egress"]) await relay.deliver(datagram(0), GROUP, SOURCE);
  await service.stop();
  const { counters, drops } = service.status();
  assert.equal(counters["egress_sent"], 0);
  assert.equal(drops["egress"]?.["send-denied"], counters["egress_queued"]);
});

test("a portable receiver writes a capture of whole datagrams", async (t) => {
  const relay = await DgramRelay.start(t);
  const file = path.join(testFolder(t), "stream.pcapng");
  const service = await startReceive(
    "receive",
    receiveConfig(relay.endpoint, { kind: "file", path: file }, { count: 20, portable: true }),
  );
  await relay.joined(GROUP, SOURCE);
  for (let i = 0; i < 25; i++) await relay.deliver(datagram(i, 5000 + (i % 2)), GROUP, SOURCE);
  assert.equal(await service.ended, undefined);
  const reference = createReferenceEngine();
  const expected = Array.from({ length: 20 }, (_, i) => {
    const message = new Uint8Array(1500);
    const length = reference.amtEncapsulate(datagram(i, 5000 + (i % 2)), message);
    return hex(message.subarray(2, length));
  });
  assert.deepEqual(
    readAll(readFileSync(file)).map(({ octets }) => hex(octets)),
    expected,
  );
});

test("what cannot be opened is refused before anything is sent", async (t) => {
  const relay = await DgramRelay.start(t);
  const folder = testFolder(t);
  const none = { kind: "file", path: path.join(folder, "no", "where") } as const;
  const refused = (error: unknown): boolean =>
    error instanceof OsError && !(error instanceof ConfigError);
  await assert.rejects(
    startReceive("receive", receiveConfig(relay.endpoint, none, { portable: true })),
    refused,
  );
  const file = { kind: "file", path: path.join(folder, "file") } as const;
  const elsewhere = { local: [{ address: "192.0.2.1", port: 0 }], portable: true };
  await assert.rejects(
    startReceive("receive", receiveConfig(relay.endpoint, file, elsewhere)),
    /bind UDP 192\.0\.2\.1:0: EADDRNOTAVAIL/,
  );
  assert.deepEqual(relay.accepted, []);
});

test("all this loads no native code of ours", () => {
  const modules = Object.keys(createRequire(import.meta.url).cache);
  assert.deepEqual(
    modules.filter((name) => name.includes("koffi")),
    [],
  );
  const report = process.report.getReport() as unknown as { sharedObjects: string[] };
  assert.ok(report.sharedObjects.length > 0);
  assert.deepEqual(
    report.sharedObjects.filter((name) => name.includes("koffi")),
    [],
  );
});
