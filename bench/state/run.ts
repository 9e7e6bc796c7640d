/**
 * The state of a large relay: 100,000 gateways with 10 groups each, for an hour of virtual time. How
 * much memory it takes, whether that grows, and how many Updates a second one core takes. A process
 * of its own: prints its Measurement as JSON. Arguments: GATEWAYS GROUPS HOURS QUERY-INTERVAL-SECONDS.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SystemEntropy } from "../../src/os/entropy.ts";
import { Crowd } from "./crowd.ts";

export interface Measurement {
  /**
   * Updates in a second of one core's time, each with the Request before it, the making of both and
   * what the collector takes: while all join, and in each later round.
   */
  readonly join: number;
  readonly renewals: readonly number[];
  /** Octets that the process holds, tables and all: when all have joined, and after each round. */
  readonly memory: readonly number[];
  /** Tunnels, and places in lists: what is held at the end. */
  readonly tunnels: number;
  readonly members: number;
  /** Of these tunnels nothing is left when all have been silent long enough. */
  readonly left: number;
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function memory(): number {
  collect();
  return process.memoryUsage.rss();
}

const [gateways = 0, groups = 0, hours = 0, interval = 0] = process.argv.slice(2).map(Number);
const queryInterval = interval * 1_000;
const crowd = new Crowd(
  { gateways, groups, pool: groups * 1_000, queryInterval },
  new SystemEntropy(),
);

function round(): number {
  const start = process.cpuUsage();
  crowd.renew();
  const { user, system } = process.cpuUsage(start);
  return gateways / ((user + system) / 1e6);
}

const join = round();
const renewals: number[] = [];
const held = [memory()];
while (crowd.now < hours * 3_600_000) {
  renewals.push(round());
  held.push(memory());
}
if (crowd.refused.size > 0) throw new Error(`refused: ${JSON.stringify([...crowd.refused])}`);
const tunnels = Array.from(crowd.relay.tunnels()).length;
const members = Array.from(crowd.relay.groups()).reduce((sum, one) => sum + one.members, 0);
crowd.wait(3 * queryInterval + 20_000);
const left = Array.from(crowd.relay.tunnels()).length;
const measured: Measurement = { join, renewals, memory: held, tunnels, members, left };
process.stdout.write(`${JSON.stringify(measured)}\n`);
