import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { findTool, run } from "../../src/lab/tool.ts";
import {
  CaptureError,
  captureRecord,
  captureStart,
  LINKTYPE_ETHERNET,
  LINKTYPE_RAW,
} from "../../src/ports/capture.ts";
import { holds } from "../engine/holds.ts";
import { udpDatagram } from "../lanes/packets.ts";
import { hex, pcapFile, pcapngFile, readAll, TIME } from "./captures.ts";

const packets = fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 6 });
const spec = fc.record({
  little: fc.boolean(),
  linkType: fc.constantFrom(LINKTYPE_ETHERNET, LINKTYPE_RAW),
  packets,
});
const file = fc.oneof(
  spec.map((of) => ({ ...of, octets: pcapngFile(of) })),
  fc
    .tuple(spec, fc.boolean())
    .map(([of, nanoseconds]) => ({ ...of, octets: pcapFile({ ...of, nanoseconds }) })),
);

/** A time of TIME, to the microsecond, from what a file says. */
function microseconds(time: bigint): number {
  return Number((time + 500n) / 1_000n);
}

test("what other tools write is read, in both formats and both byte orders", (t) => {
  holds(
    t,
    fc.property(file, ({ octets, linkType, packets: expected }) => {
      const read = readAll(octets);
      assert.deepEqual(
        read.map((packet) => hex(packet.octets)),
        expected.map(hex),
      );
      for (const [i, packet] of read.entries()) {
        assert.equal(packet.linkType, linkType);
        if (packet.time === 0n) continue; // a Simple Packet Block has none
        const wanted = (TIME.seconds + i) * 1_000_000 + TIME.nanoseconds / 1_000;
        assert.ok(Math.abs(microseconds(packet.time) - wanted) <= 1);
      }
    }),
  );
});

test("what we write is read again as it was, to the nanosecond", (t) => {
  const record = fc.record({
    octets: fc.uint8Array({ maxLength: 200 }),
    time: fc.bigInt({ min: 0n, max: 2n ** 63n }),
    comment: fc.option(fc.string({ unit: "grapheme", maxLength: 40 }), { nil: undefined }),
  });
  holds(
    t,
    fc.property(fc.array(record, { maxLength: 8 }), (records) => {
      const written = Buffer.concat([
        captureStart("a test", LINKTYPE_ETHERNET),
        ...records.map(({ octets, time, comment }) => captureRecord(octets, time, comment)),
      ]);
      assert.deepEqual(
        readAll(written).map(({ linkType, octets, time }) => [linkType, hex(octets), time]),
        records.map(({ octets, time }) => [LINKTYPE_ETHERNET, hex(octets), time]),
      );
    }),
  );
});

test("a capture cut anywhere ends with its last whole packet", (t) => {
  holds(
    t,
    fc.property(file, fc.double({ min: 0, max: 1, noNaN: true }), ({ octets }, share) => {
      const whole = readAll(octets).map((packet) => hex(packet.octets));
      const cut = octets.subarray(0, Math.floor(4 + share * (octets.length - 4)));
      const read = readAll(cut).map((packet) => hex(packet.octets));
      assert.deepEqual(read, whole.slice(0, read.length));
      const shorter = readAll(octets.subarray(0, -1)).length;
      assert.equal(shorter, Math.max(0, whole.length - 1), "only the last one is lost");
    }),
  );
});

test("no octets make the reader throw anything but its own error, which names the file", (t) => {
  const magics = ["a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "0a0d0d0a"];
  const random = fc
    .tuple(fc.constantFrom("", ...magics), fc.uint8Array({ maxLength: 120 }))
    .map(([magic, tail]) => Buffer.concat([Buffer.from(magic, "hex"), tail]));
  const mutated = fc
    .tuple(file, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }))
    .map(([{ octets }, changes]) => {
      const copy = Uint8Array.from(octets);
      for (const [at, value] of changes) copy[at % copy.length] = value;
      return copy;
    });
  holds(
    t,
    fc.property(fc.oneof(random, mutated), (octets) => {
      try {
        readAll(octets);
      } catch (error) {
        assert.ok(error instanceof CaptureError, String(error));
        assert.match(error.message, /^test\.pcap: /);
      }
    }),
    2_000,
  );
});

test("a file that is no capture, or of a link type that no lane reads, is refused clearly", () => {
  const refusal = (octets: Uint8Array): string => {
    try {
      readAll(octets);
    } catch (error) {
      if (error instanceof CaptureError) return error.message;
      throw error;
    }
    return "read";
  };
  assert.equal(refusal(new Uint8Array(0)), "test.pcap: it is too short for a capture");
  assert.equal(refusal(Buffer.from("#!/bin/sh")), "test.pcap: it is neither pcap nor pcapng");
  const linux = { little: true, linkType: 113, packets: [new Uint8Array(40)] };
  for (const octets of [pcapFile(linux), pcapngFile(linux)])
    assert.match(refusal(octets), /link type 113 is not read, only Ethernet \(1\) and raw IP/);
  const huge = pcapFile({ little: true, linkType: 1, packets: [new Uint8Array(4)] });
  new DataView(huge.buffer, huge.byteOffset).setUint32(32, 0xffff_fff0, true);
  assert.match(refusal(huge), /a packet of 4294967280 octets, more than 262144/);
});

test("tshark reads what we write: packets, times and comments", (t) => {
  const tshark = findTool("tshark");
  if (tshark === undefined) {
    const reason = "tshark is not found; install it: apt-get install tshark";
    if (process.env["CULVERT_REQUIRE_ALL"] === "1") throw new Error(reason);
    t.skip(reason);
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), "culvert-capture-"));
  try {
    const name = path.join(folder, "ours.pcapng");
    const [v4, v6] = [
      udpDatagram({ source: "192.0.2.1", group: "232.1.2.3", payload: Uint8Array.of(1, 2, 3) }),
      udpDatagram({ source: "2001:db8::1", group: "ff3e::9", payload: Uint8Array.of(4) }),
    ];
    writeFileSync(
      name,
      Buffer.concat([
        captureStart("culvert", LINKTYPE_RAW),
        captureRecord(v4, 1_700_000_000_123_456_789n),
        captureRecord(v6, 1_700_000_001_000_000_001n, "dropped: udp-port"),
      ]),
    );
    const fields = ["frame.time_epoch", "ip.dst", "ipv6.dst", "udp.payload", "frame.comment"];
    const words = ["-r", name, "-T", "fields", "-E", "separator=|"];
    const rows = run(tshark, [...words, ...fields.flatMap((field) => ["-e", field])]);
    assert.deepEqual(rows.trimEnd().split("\n"), [
      "1700000000.123456789|232.1.2.3||010203|",
      "1700000001.000000001||ff3e::9|04|dropped: udp-port",
    ]);
    const wrong = run(tshark, [
      "-r",
      name,
      "-o",
      "udp.check_checksum:TRUE",
      "-Y",
      '_ws.malformed || _ws.expert.severity == "Error"',
    ]);
    assert.equal(wrong, "");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
