/**
 * A subject's isolate: says what its cases answer, then times one case for each order. A case that
 * throws or changes its answer ends the Worker, and with it the run.
 */
import { createHash } from "node:crypto";
import { getHeapStatistics } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import Benchmark from "benchmark";
import type { Announcement, Case, Measurement, Order, Subject, Suite } from "./harness.ts";
import { spread } from "./statistics.ts";

const { module, subject } = workerData as Subject;
const { suite } = (await import(module)) as { suite: Suite };
const cases = (await suite.cases(subject)).map((one) => ({ one, expected: one.run() }));

parentPort!.on("message", ({ index, seconds }: Order) => {
  const { one, expected } = cases[index]!;
  parentPort!.postMessage(measure(one, expected, seconds));
});
parentPort!.postMessage(cases.map(({ one, expected }) => announce(one, expected)));

function announce(one: Case, expected: number): Announcement {
  const octets = one.output?.();
  const digest = octets ? ` ${createHash("sha256").update(octets).digest("hex").slice(0, 16)}` : "";
  return {
    name: one.name,
    unit: one.unit,
    ...(one.octets !== undefined && { octets: one.octets }),
    answer: `${expected}${digest}`,
  };
}

/** The time of one operation: the median of what `benchmark` sampled. */
function measure(one: Case, expected: number, seconds: number): Measurement {
  const bench = new Benchmark(
    one.name,
    () => {
      const result = one.run();
      if (result !== expected) throw new Error(`${one.name}: ${result} instead of ${expected}`);
    },
    { maxTime: seconds, minTime: seconds / 10, minSamples: 3 },
  );
  bench.run();
  // `benchmark` records an error and carries on.
  if (bench.error) throw bench.error;
  const period = spread(bench.stats.sample).median;
  return {
    nanoseconds: (period * 1e9) / one.operations,
    allocated: allocated(one, Math.ceil(seconds / 20 / period)),
  };
}

/**
 * Octets of heap that an operation leaves behind, once it is compiled; undefined when the
 * collector ran in every stretch.
 */
function allocated(one: Case, runs: number): number | undefined {
  const idle = growth(0, one);
  const busy = growth(runs, one);
  if (idle === undefined || busy === undefined) return undefined;
  return Math.round(Math.max(0, busy - idle) / (runs * one.operations));
}

/** The least growth of the heap over `runs` runs, looking at it included. */
function growth(runs: number, one: Case): number | undefined {
  const grown: number[] = [];
  for (let stretch = 0; stretch < 5; stretch++) {
    const before = getHeapStatistics().used_heap_size;
    for (let i = 0; i < runs; i++) one.run();
    const after = getHeapStatistics().used_heap_size;
    if (after >= before) grown.push(after - before);
  }
  return grown.length === 0 ? undefined : Math.min(...grown);
}
