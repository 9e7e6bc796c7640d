/** A result as a suite could leave it, for the tests of what is made from results. */
import { figure, ratio, type Result } from "../../bench/result.ts";

const fast = figure(
  { case: "sum", subject: "new", unit: "ns/packet", octets: 100, goal: { atMost: 4 } },
  [4, 5, 6],
);
const slow = figure({ case: "sum", subject: "old", unit: "ns/packet", octets: 100 }, [20, 20, 12]);
const lone = figure({ case: "copy", subject: "old", unit: "ns/packet" }, [12_345]);

export const result: Result = {
  suite: "demo",
  takenAt: "2026-01-01T00:00:00.000Z",
  effort: "full",
  machine: {
    cpu: "a cpu",
    cores: 2,
    memoryGiB: 1,
    kernel: "Linux",
    node: "v20",
    v8: "11",
    versions: {},
    commit: "c0ffee",
    load: 0,
  },
  settings: {},
  figures: [fast, slow, lone],
  ratios: [ratio(fast, slow, { atLeast: 2 })],
  notes: [],
};
