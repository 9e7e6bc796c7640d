/**
 * A child process of `heap.test.ts`: runs many batches through a lane whose ports allocate nothing,
 * and prints what the JavaScript heap had to give for them.
 */
import assert from "node:assert/strict";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_SEGMENTS,
  CONFIG_SINK,
  FRAME_IP,
  RX_CAPACITY,
  SINK_TUN,
  STAGE_EGRESS,
  TALLY_RECEIVED_MESSAGES,
} from "../../assembly/layout/arena.ts";
import { VERDICT_FORWARDED } from "../../assembly/layout/verdict.ts";
import type { MemoryPort } from "../../src/ports/memory.ts";
import { makeBed, type Bed } from "./bed.ts";
import { amtData, pattern, udpDatagram } from "./packets.ts";

export interface Pumped {
  /** Datagrams that were taken, and that left. */
  readonly received: number;
  readonly sent: number;
  /** Octets of heap taken meanwhile, and those of them that a collection left. */
  readonly allocated: number;
  readonly retained: number;
  readonly millis: number;
}

const GROUPS = ["232.1.2.3", "239.1.1.1", "ff3e::1234"];
const RELAY = { address: "198.51.100.10", port: 2268 };

/** Batches that a lane takes in one turn of a port that always has more. */
const ROUNDS = 4;

/** Batches before the count, so that the lane's code is compiled. */
const WARM_UP = 20_000;

const collect = globalThis.gc;
const [role, count, batch] = process.argv.slice(2);
if (role !== undefined) {
  assert.ok(collect, "run with --expose-gc");
  assert.ok(role === "relay" || role === "gateway");
  console.log(JSON.stringify(pump(role, Number(count), Number(batch), () => collect())));
}

/** Pumps `wanted` datagrams that arrive `batch` at a time. */
function pump(role: "relay" | "gateway", wanted: number, batch: number, gc: () => void): Pumped {
  const bed = makeBed(role, FRAME_IP);
  bed.commands.relay(RELAY);
  bed.commands.config(CONFIG_SEGMENTS, 64);
  bed.commands.config(CONFIG_SINK, SINK_TUN);
  for (const [i, group] of GROUPS.entries())
    for (let member = 0; member <= i; member++) {
      bed.commands.tunnel(member, { address: "203.0.113.5", port: 1_000 + member });
      bed.commands.route(COMMAND_MEMBER_ADD, group, undefined, member);
    }
  bed.run();
  const port = role === "relay" ? bed.inner : bed.socket;
  fill(bed, port);
  // What has arrived stays there, and arrives again and again.
  port.receive = () => batch;
  const outlet = role === "relay" ? bed.socket : bed.inner;
  outlet.send = (_first, messages) => messages;
  const number = bed.numbers.get(port)!;
  const run = (datagrams: number): void => {
    const turns = Math.ceil(datagrams / (batch === RX_CAPACITY ? ROUNDS * batch : batch));
    for (let i = 0; i < turns; i++) bed.lane.pump(number);
  };
  run(WARM_UP * batch);
  gc();
  gc();
  const before = counted(bed);
  const heapBefore = process.memoryUsage().heapUsed;
  const start = performance.now();
  run(wanted);
  const millis = performance.now() - start;
  const allocated = process.memoryUsage().heapUsed - heapBefore;
  gc();
  gc();
  const retained = process.memoryUsage().heapUsed - heapBefore;
  const after = counted(bed);
  return {
    received: after.received - before.received,
    sent: after.sent - before.sent,
    allocated,
    retained,
    millis,
  };
}

/** Puts one whole batch into the port's region, where it stays. */
function fill(bed: Bed, port: MemoryPort): void {
  for (let i = 0; i < RX_CAPACITY; i++) {
    const group = GROUPS[i % GROUPS.length]!;
    const source = group.includes(":") ? "2001:db8::44" : "192.0.2.44";
    const datagram = udpDatagram({ source, group, payload: pattern(200, i) });
    port.arrivals.push(
      port === bed.inner ? { octets: datagram } : { octets: amtData(datagram), from: RELAY },
    );
  }
  assert.equal(port.receive(RX_CAPACITY), RX_CAPACITY);
}

function counted(bed: Bed): { received: number; sent: number } {
  const { stages, tallies } = bed.ledger();
  return {
    received: tallies[TALLY_RECEIVED_MESSAGES]!,
    sent: stages[STAGE_EGRESS]![VERDICT_FORWARDED]!,
  };
}
