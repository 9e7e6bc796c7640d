import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_SEGMENTS,
  CONFIG_SINK,
  CONFIG_SINK_LIMIT,
  FRAME_ETHERNET,
  FRAME_IP,
  RX_CAPACITY,
  SINK_TUN_PLAIN,
  STAGE_CONTROL,
  STAGE_EGRESS,
  STAGE_INGEST,
  STAGE_RECEIVED,
} from "../../assembly/layout/arena.ts";
import {
  VERDICT_FORWARDED,
  VERDICT_NO_ROUTE,
  VERDICT_STOPPED,
} from "../../assembly/layout/verdict.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { regionAddress } from "../../src/lanes/plan.ts";
import { CaptureError, CaptureReader, LINKTYPE_RAW } from "../../src/ports/capture.ts";
import { CaptureInlet, CaptureOutlet, pullFrom } from "../../src/ports/pcap.ts";
import { layBed } from "../lanes/bed.ts";
import { udpDatagram } from "../lanes/packets.ts";
import { hex, pcapFile, pcapngFile, readAll } from "./captures.ts";

const reference = createReferenceEngine();
const GROUP = "232.1.2.3";
const SOURCE = "192.0.2.44";

function datagram(i: number, source = SOURCE): Uint8Array {
  const payload = Uint8Array.from({ length: 100 + (i % 3) }, (_, at) => at + i);
  return udpDatagram({ source, group: GROUP, payload, id: i });
}

function ethernet(packet: Uint8Array): Uint8Array {
  const header = Buffer.from("01005e01020302000000000108 00".replace(" ", ""), "hex");
  return Buffer.concat([header, packet]);
}

/** What the relay sends for a datagram. */
function relayed(packet: Uint8Array): Uint8Array {
  const message = new Uint8Array(packet.length + 2);
  return message.subarray(0, reference.amtEncapsulate(packet, message));
}

test("a relay's lane sends what a capture holds, octet for octet, and counts the rest", async () => {
  const wanted = Array.from({ length: 500 }, (_, i) => datagram(i));
  const packets = [...wanted.slice(0, 250), datagram(999, "192.0.2.45"), ...wanted.slice(250)];
  const folder = mkdtempSync(path.join(tmpdir(), "culvert-pcap-"));
  try {
    for (const [make, linkType, frame] of [
      [pcapFile, 101, FRAME_IP],
      [pcapngFile, 1, FRAME_ETHERNET],
    ] as const) {
      const framed = frame === FRAME_IP ? packets : packets.map(ethernet);
      const name = path.join(folder, "source");
      writeFileSync(name, make({ little: false, linkType, packets: framed }));
      const fd = openSync(name, "r");
      let inlet: CaptureInlet | undefined;
      const bed = layBed("relay", (arena) => {
        inlet = new CaptureInlet(arena, new CaptureReader(pullFrom(fd), name), regionAddress(1));
        assert.equal(inlet.frame, frame);
        return { port: inlet, frame };
      });
      bed.commands.config(CONFIG_SEGMENTS, 8);
      bed.commands.tunnel(0, { address: "198.51.100.1", port: 3000 });
      bed.commands.route(COMMAND_MEMBER_ADD, GROUP, SOURCE, 0);
      bed.run();
      while (!inlet!.ended) await new Promise((resolve) => setImmediate(resolve));
      closeSync(fd);
      assert.deepEqual(
        bed.socket.departures.map(({ octets }) => hex(octets)),
        wanted.map((packet) => hex(relayed(packet))),
      );
      const ingest = bed.ledger().stages[STAGE_INGEST]!;
      assert.equal(ingest[STAGE_RECEIVED], 501);
      assert.equal(ingest[VERDICT_FORWARDED], 500);
      assert.equal(ingest[VERDICT_NO_ROUTE], 1);
      bed.lane.stop();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a capture that goes wrong gives its whole packets first, then the error", () => {
  const file = pcapFile({ little: true, linkType: 101, packets: [datagram(0), datagram(1)] });
  const second = 24 + 16 + datagram(0).length;
  new DataView(file.buffer, file.byteOffset).setUint32(second + 8, 1_000_000, true);
  let inlet: CaptureInlet | undefined;
  layBed("relay", (arena) => {
    const reader = new CaptureReader(pullFrom(file), "broken.pcap");
    inlet = new CaptureInlet(arena, reader, regionAddress(1));
    return { port: inlet, frame: FRAME_IP };
  }).lane.stop();
  assert.equal(inlet!.receive(RX_CAPACITY), 1);
  assert.equal(inlet!.ended, false);
  assert.throws(() => inlet!.receive(RX_CAPACITY), CaptureError);
});

test("a gateway's lane writes whole datagrams to a capture, as many as are wanted", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "culvert-pcap-"));
  const name = path.join(folder, "received.pcapng");
  const fd = openSync(name, "w");
  try {
    let now = 1_700_000_000_000_000_000n;
    const bed = layBed("gateway", (arena) => {
      const port = new CaptureOutlet(arena, fd, LINKTYPE_RAW, () => now++);
      assert.deepEqual(readAll(readFileSync(name)), [], "a capture from the first moment on");
      return { port, frame: FRAME_IP };
    });
    const relay = { address: "198.51.100.10", port: 2268 };
    bed.commands.config(CONFIG_SINK, SINK_TUN_PLAIN);
    bed.commands.config(CONFIG_SINK_LIMIT, 205);
    bed.commands.relay(relay);
    bed.commands.route(COMMAND_MEMBER_ADD, GROUP, SOURCE, 0);
    bed.run();
    const sent = Array.from({ length: 210 }, (_, i) => relayed(datagram(i)));
    for (const octets of sent) bed.socket.arrivals.push({ octets, from: relay });
    bed.run();
    bed.lane.stop();
    const written = readAll(readFileSync(name));
    assert.deepEqual(
      written.map(({ octets }) => hex(octets)),
      sent.slice(0, 205).map((message) => hex(message.subarray(2))),
    );
    assert.equal(written[0]!.time, 1_700_000_000_000_000_000n);
    assert.equal(written[204]!.time, 1_700_000_000_000_000_001n, "one time for each batch");
    const { stages } = bed.ledger();
    assert.equal(stages[STAGE_EGRESS]![VERDICT_FORWARDED], 205);
    assert.equal(stages[STAGE_CONTROL]![VERDICT_STOPPED], 5);
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});
