/**
 * A listener that joins through the kernel and counts what comes. Its one argument is a ListenerPlan
 * as JSON; it writes ListenerEvents to standard output. When its input ends it leaves, reports, ends.
 */
import dgram from "node:dgram";
import { familyOf, isMulticast, parseAddress } from "../../core/address.ts";
import { readPayload } from "../payload.ts";
import type { ListenerEvent, ListenerPlan, ListenerReport } from "../stream.ts";
import { Tally } from "../tally.ts";

const PROGRESS_EVERY = 250;
/** As large as the system lets an unprivileged program have it; the kernel cuts it. */
const RECEIVE_BUFFER = 4 << 20;

const plan = JSON.parse(process.argv[2] ?? "") as ListenerPlan;
const say = (event: ListenerEvent) => process.stdout.write(`${JSON.stringify(event)}\n`);
const family = familyOf(plan.group);
const tallies = new Map<string, Tally>();
let foreign = 0;
let joinedAt: bigint | undefined;
const delays = { count: 0, total: 0, highest: 0 };

const socket = dgram.createSocket({ type: family === 4 ? "udp4" : "udp6", reuseAddr: true });
socket.on("message", (octets, from) => {
  const now = process.hrtime.bigint();
  const payload = readPayload(octets);
  if (payload === undefined) {
    foreign++;
    return;
  }
  const delay = Number(now - payload.sentAt) / 1e6;
  delays.count++;
  delays.total += delay;
  delays.highest = Math.max(delays.highest, delay);
  let tally = tallies.get(from.address);
  if (tally === undefined) {
    tallies.set(from.address, (tally = new Tally()));
    const milliseconds = Number(now - (joinedAt ?? now)) / 1e6;
    say({ event: "first", source: from.address, milliseconds });
  }
  tally.add(payload.sequence);
});

/** `::%device` names an interface to the IPv6 calls; the IPv4 ones take one of its addresses. */
const device = family === 4 ? plan.address : `::%${plan.device}`;

/** Joins, unless the plan names an address of this host: then it is enough to be bound. */
function join(): void {
  joinedAt = process.hrtime.bigint();
  if (!isMulticast(parseAddress(plan.group)!)) return;
  if (plan.sources === undefined) socket.addMembership(plan.group, device);
  else
    for (const source of plan.sources)
      socket.addSourceSpecificMembership(source, plan.group, device);
}

function report(): ListenerReport {
  const streams = [...tallies].map(([source, tally]) => ({ source, ...tally.summary() }));
  const mean = delays.count === 0 ? 0 : delays.total / delays.count;
  return { streams, foreign, delay: { mean, highest: delays.highest } };
}

socket.bind({ address: plan.group, port: plan.port }, () => {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER);
  } catch {
    // The system's own size then has to do.
  }
  join();
  say({ event: "joined" });
  const timer = setInterval(() => say({ event: "progress", ...report() }), PROGRESS_EVERY);
  process.stdin
    .on("end", () => {
      clearInterval(timer);
      socket.close();
      say({ event: "end", ...report() });
    })
    .resume();
});
