/**
 * The demonstration: a real UDP source, a relay, two gateways or receivers and their listeners, each
 * a process of its own; what happens while it runs, and what came of it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Lab, labObstacle } from "../lab/lab.ts";
import type { ListenerReport, Source } from "../lab/stream.ts";
import { startSource } from "../lab/stream.ts";
import type { ServiceStatus } from "../runtime/service.ts";
import type { DemoOptions } from "./options.ts";
import { DEMO_HELP, parseDemo } from "./options.ts";
import type { DemoReport, ListenerRow } from "./report.ts";
import { isFlawless, renderReport } from "./report.ts";
import type { Joined, Stage } from "./stage.ts";
import { loopbackStage, namespaceStage } from "./stage.ts";

/** Time between the start of the source and a join, and between two lines of progress. */
const STEP_MS = 500;
/** How long after the source's end a packet may still be on its way. */
const TAIL_MS = 2_000;

/**
 * Runs the demonstration and gives its exit code: 0 when every listener got every packet from its
 * first one on, else 1. Throws ConfigError for arguments that cannot be used, ToolError for a part
 * that does not start.
 */
export async function runDemo(args: readonly string[]): Promise<number> {
  const options = parseDemo(args);
  if (options === undefined) {
    say(DEMO_HELP);
    return 0;
  }
  const obstacle = options.loopback ? "as asked" : labObstacle();
  const lab = new Lab("demo");
  try {
    if (obstacle !== undefined) say(`playing on loopback: ${obstacle}\n`);
    const stage = obstacle === undefined ? await namespaceStage(lab) : await loopbackStage(lab);
    const report = await play(stage, options);
    say(`\n${renderReport(report)}`);
    return isFlawless(report) ? 0 : 1;
  } finally {
    lab.close();
  }
}

async function play(stage: Stage, options: DemoOptions): Promise<DemoReport> {
  const { rate, seconds, size } = options;
  for (const line of stage.picture) say(line);
  say(`\n${rate} datagrams a second of ${size} octets, for ${seconds} s after the last join`);
  const source = await startSource(stage.sourceHost, { ...stage.source, rate, size });
  const started = performance.now();
  const joined: Joined[] = [];
  const progress = setInterval(() => say(progressLine(started, source, joined)), 2 * STEP_MS);
  try {
    for (const i of stage.listeners.keys()) {
      await sleep(STEP_MS);
      joined.push(await stage.join(i));
    }
    const latencies = await Promise.all(
      joined.map(({ latency }) => latency.catch(() => undefined)),
    );
    await sleep(seconds * 1_000);
    const { sent, seconds: took } = await source.stop();
    await settle(joined, sent);
    const daemons = new Map<string, ServiceStatus>();
    for (const [name, daemon] of stage.daemons) daemons.set(name, await daemon.status());
    const listeners: ListenerRow[] = [];
    for (const [i, { listener }] of joined.entries()) {
      const report = await listener.leave();
      listeners.push(row(stage.listeners[i]!, report, sent, options, latencies[i]));
    }
    return { sent, offered: (sent * size * 8) / took, listeners, daemons };
  } finally {
    clearInterval(progress);
  }
}

/** Waits until the last packet of the source has come everywhere, or no more can be expected. */
async function settle(joined: readonly Joined[], sent: number): Promise<void> {
  const until = performance.now() + TAIL_MS;
  const complete = () =>
    joined.every(({ listener }) => listener.progress()?.streams[0]?.last === sent - 1);
  while (!complete() && performance.now() < until) await sleep(20);
}

function row(
  name: string,
  report: ListenerReport,
  sent: number,
  options: DemoOptions,
  joinLatency: number | undefined,
): ListenerRow {
  const stream = report.streams[0];
  const { received = 0, duplicated = 0, outOfOrder = 0, first = 0, last = -1 } = stream ?? {};
  // What the source sent after the last packet that came is lost too.
  const lost = stream === undefined ? 0 : stream.lost + (sent - 1 - last);
  const span = (sent - first) / options.rate;
  const throughput = stream === undefined ? 0 : (received * options.size * 8) / span;
  const delay = report.delay.mean;
  return { name, received, lost, duplicated, outOfOrder, throughput, joinLatency, delay };
}

function progressLine(started: number, source: Source, joined: readonly Joined[]): string {
  const listeners = joined.map(({ listener }, i) => {
    const stream = listener.progress()?.streams[0];
    return `listener ${i + 1}: ${stream?.received ?? 0} received, ${stream?.lost ?? 0} lost`;
  });
  const time = ((performance.now() - started) / 1_000).toFixed(0).padStart(3);
  return [`${time} s  ${source.sent()} sent`, ...listeners].join("   ");
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
