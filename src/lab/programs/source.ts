/**
 * A source of numbered multicast datagrams, at an even pace. Its one argument is a SourcePlan as
 * JSON; it writes SourceEvents to standard output, and ends early when its input does.
 */
import dgram from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";
import { familyOf } from "../../core/address.ts";
import { writePayload } from "../payload.ts";
import type { SourceEvent, SourcePlan } from "../stream.ts";
import { TrainSocket } from "../train.ts";

/** The most datagrams sent in one go, so that a late timer makes no burst beyond any buffer. */
const BURST = 32;
const PROGRESS_EVERY = 250;

const plan = JSON.parse(process.argv[2] ?? "") as SourcePlan;
const say = (event: SourceEvent) => process.stdout.write(`${JSON.stringify(event)}\n`);
const count = plan.count ?? Number.MAX_SAFE_INTEGER;
let ended = false;
process.stdin.on("end", () => (ended = true)).resume();

/** Sends datagrams number `from` to `from + count - 1`. */
type Send = (from: number, count: number) => Promise<void>;

/** One datagram a system call, as an ordinary application sends. */
async function singles(): Promise<{ send: Send; close: () => void }> {
  const family = familyOf(plan.group);
  const socket = dgram.createSocket({ type: family === 4 ? "udp4" : "udp6" });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject).bind({ address: plan.source, port: 0 }, resolve);
  });
  socket.setMulticastTTL(plan.ttl);
  socket.setMulticastInterface(family === 4 ? plan.source : `::%${plan.device}`);
  const one = (sequence: number) =>
    new Promise<void>((resolve, reject) => {
      const payload = Buffer.alloc(plan.size);
      writePayload(payload, sequence, process.hrtime.bigint());
      socket.send(payload, plan.port, plan.group, (error) => (error ? reject(error) : resolve()));
    });
  const send: Send = async (from, count) => {
    await Promise.all(Array.from({ length: count }, (_, i) => one(from + i)));
  };
  return { send, close: () => socket.close() };
}

/** Trains of datagrams that the kernel cuts (UDP_SEGMENT). */
function trains(): { send: Send; close: () => void } {
  const socket = new TrainSocket(plan);
  const send: Send = (from, count) => {
    const train = new Uint8Array(plan.size * count);
    for (let i = 0; i < count; i++) {
      const payload = train.subarray(i * plan.size, (i + 1) * plan.size);
      writePayload(payload, from + i, process.hrtime.bigint());
    }
    socket.send(train);
    return Promise.resolve();
  };
  return { send, close: () => socket.close() };
}

const segments = plan.segments ?? 1;
const { send, close } = segments === 1 ? await singles() : trains();
const started = performance.now();
let sent = 0;
let progressAt = started + PROGRESS_EVERY;
say({ event: "started" });
while (!ended && sent < count) {
  const now = performance.now();
  const due = Math.min(count, Math.floor(((now - started) * plan.rate) / 1_000) + segments);
  let room = segments === 1 ? BURST : segments;
  while (sent + segments <= due && room > 0) {
    await send(sent, segments);
    sent += segments;
    room -= segments;
  }
  if (now >= progressAt) {
    say({ event: "progress", sent });
    progressAt = now + PROGRESS_EVERY;
  }
  await sleep(1);
}
say({ event: "end", sent, seconds: (performance.now() - started) / 1_000 });
close();
process.stdin.destroy();
