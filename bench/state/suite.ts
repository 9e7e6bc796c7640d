/**
 * The state of a large relay: `run.ts` in a process of its own, then a running relay that serves a
 * stream at half of what it can, while a crowd of gateways joins other groups through it.
 */
import path from "node:path";
import { run } from "../../src/lab/tool.ts";
import { describeMachine } from "../machine.ts";
import { ROOT } from "../places.ts";
import { figure, type Effort, type Figure, type Result } from "../result.ts";
import { spread } from "../statistics.ts";
import { rate, witness, type Timing } from "../system/fanout.ts";
import { buildPrograms } from "../system/native.ts";
import { CROWD, FAR, Path, WITNESS } from "../system/path.ts";
import { CulvertRow } from "../system/rows.ts";
import type { Measurement } from "./run.ts";

/** GATEWAYS, GROUPS, HOURS, and seconds of Query Interval; rounds of the capacity's measuring. */
interface Size {
  readonly state: readonly [number, number, number, number];
  readonly timing: Timing;
}

const SIZES: Readonly<Record<Effort, Size>> = {
  full: {
    state: [100_000, 10, 1, 125],
    timing: { gateways: [100], rounds: 5, ramp: 300, window: 1_000 },
  },
  quick: {
    state: [20_000, 10, 1, 600],
    timing: { gateways: [100], rounds: 3, ramp: 200, window: 400 },
  },
  sanity: {
    state: [500, 10, 0.5, 600],
    timing: { gateways: [3], rounds: 1, ramp: 50, window: 50 },
  },
};

/** Gateways that must be able to join in a second, or the stream ends before they have. */
const JOINS = 500;
/** Where the crowd of `join-crowd.ts` seems to be. */
const CROWD_NET = "10.96.0.0/15";
const DEVICE = "crowd0";
/** Nobody sends from here. */
const ELSEWHERE = "198.51.100.9";

const SUBJECT = "culvert";

export async function runState(effort: Effort, progress: (line: string) => void): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const { state, timing } = SIZES[effort];
  const [gateways, groups, hours, interval] = state;
  progress(`state: ${gateways} gateways with ${groups} groups each`);
  const figures = [...held(state)];
  figures.push(...(await beside(gateways, timing, progress)));
  return {
    suite: "state",
    takenAt,
    effort,
    machine,
    settings: { gateways, groups, hours, queryInterval: interval },
    figures,
    ratios: [],
    notes: [],
  };
}

/** What the state takes, and how fast it is made and renewed. */
function held(state: Size["state"]): Figure[] {
  const [gateways, groups] = state;
  const program = path.join(ROOT, "dist/bench/state/run.js");
  const text = run(process.execPath, [program, ...state.map(String)]);
  const measured = JSON.parse(text) as Measurement;
  const { join, renewals, memory, tunnels, members, left } = measured;
  if (tunnels !== gateways || members !== gateways * groups || left !== 0)
    throw new Error(`${gateways} gateways became ${text}`);
  const subject = SUBJECT;
  const goal = { atLeast: 20_000 };
  const grown = memory.at(-1)! - memory[0]!;
  return [
    figure({ case: "joining", subject, unit: "updates/s", goal }, [join]),
    figure({ case: "renewing", subject, unit: "updates/s", goal }, renewals),
    figure({ case: "memory", subject, unit: "octets", goal: { atMost: 1e9 } }, memory),
    figure({ case: "memory grown", subject, unit: "octets", goal: { atMost: 0.1 * memory[0]! } }, [
      Math.max(0, grown),
    ]),
  ];
}

/** A stream at half of the relay's capacity while the crowd joins. */
async function beside(
  crowd: number,
  timing: Timing,
  progress: (line: string) => void,
): Promise<Figure[]> {
  const gateways = timing.gateways[0]!;
  const row = new CulvertRow(await Path.make(false), gateways, buildPrograms());
  const { far, relay } = row.path;
  try {
    await row.start();
    row.path.deliver(CROWD, false);
    row.path.deliver(WITNESS, false);
    const capacity: number[] = [];
    for (let round = 0; round < timing.rounds; round++) capacity.push(await rate(row, timing));
    row.path.deliver(WITNESS, true);

    far.sysctl("net/ipv4/ip_forward", 1);
    far.ip("tuntap", "add", "mode", "tun", "name", DEVICE);
    far.up(DEVICE);
    far.route(CROWD_NET, DEVICE);
    relay.ip("route", "add", CROWD_NET, "via", FAR);
    const seconds = Math.ceil(crowd / JOINS) + 1;
    const pace = Math.floor(spread(capacity).median / gateways / 2);
    const count = pace * seconds;
    progress(`state: ${crowd} gateways join beside ${pace} packets a second to ${gateways}`);
    let joined = "";
    const seen = await witness(row, async () => {
      const stream = row.paced(count, pace);
      const program = path.join(ROOT, "dist/bench/state/join-crowd.js");
      const joining = far.start(process.execPath, [
        ...[program, DEVICE, row.address, ELSEWHERE, String(crowd)],
      ]);
      const { code } = await joining.finish(1_000 * seconds);
      if (code !== 0 || stream.exit)
        throw new Error(`the crowd did not join in time: ${joining.stderr.trim()}`);
      joined = joining.stdout;
      const { code: sent } = await stream.finish(2_000 * seconds);
      if (sent !== 0) throw new Error(`the source failed: ${stream.stderr.trim()}`);
    });
    const tunnels = await row.tunnels();
    if (tunnels !== crowd + gateways) throw new Error(`the crowd became ${tunnels} tunnels`);
    const { rate: joins } = JSON.parse(joined.trim().split("\n").at(-1)!) as { rate: number };
    const lost = count - seen.received + seen.wrong + seen.late;
    const subject = SUBJECT;
    return [
      figure({ case: "capacity", subject, unit: "packets/s" }, capacity),
      figure({ case: "joining beside half of it", subject, unit: "updates/s" }, [joins]),
      figure({ case: "lost meanwhile", subject, unit: "packets", goal: { atMost: 0 } }, [lost]),
    ];
  } finally {
    row.path.remove();
  }
}
