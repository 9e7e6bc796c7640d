/** Relays and gateways in the tree of `src/lab/tree.ts`, and waits on what they say of themselves. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Daemon } from "../../src/demo/daemon.ts";
import type { Lab } from "../../src/lab/lab.ts";
import { startListener, startSource } from "../../src/lab/stream.ts";
import type { Listener, Source, SourcePlan } from "../../src/lab/stream.ts";
import { DEVICES, GATEWAYS, GATEWAYS_6, RELAY, SOURCES, buildTree } from "../../src/lab/tree.ts";
import type { Tree } from "../../src/lab/tree.ts";

export const DEVICE = "culvert0";
export const PORT = 5000;

/** The tree with a relay in it; gateways are started as a test needs them. */
export class Network {
  readonly #lab: Lab;
  readonly tree: Tree;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.tree = buildTree(lab);
  }

  /**
   * Makes the tunnels' devices finish checksums and segments, so that a capture at a gateway shows
   * what a wire would and not what the kernel still means to do.
   */
  withoutOffload(): void {
    const { relay, gateways } = this.tree;
    for (const device of ["down0", "down1", "br0"]) relay.withoutOffload(device);
    for (const gateway of gateways) gateway.withoutOffload("eth0");
  }

  /** Starts a relay; `options` replace `--ingress up0`, `local` its one address. */
  relay(options = ["--ingress", "up0"], local: readonly string[] = [RELAY]): Promise<Daemon> {
    const args = ["relay", ...local.flatMap((at) => ["--local", at]), ...options];
    return Daemon.start(this.tree.relay, this.#lab.folder, "relay", args);
  }

  /** Starts gateway 0 or 1; `how` is by which option it finds the relay, `relay` where. */
  gateway(
    i: 0 | 1,
    how: "--relay" | "--discovery" = "--relay",
    relay = RELAY,
    local = relay.includes("::") ? `[${GATEWAYS_6[i]}]:4000${i}` : `${GATEWAYS[i]}:4000${i}`,
  ): Promise<Daemon> {
    const ends = ["--local", local, how, relay];
    const args = ["gateway", ...ends, "--tun", DEVICE, "--address", `${DEVICES[i]}/32`];
    return Daemon.start(this.tree.gateways[i], this.#lab.folder, `gateway${i}`, args);
  }

  /** Starts a source; left to itself it sends 500 packets a second from the first address. */
  send(group: string, plan: Partial<SourcePlan> = {}): Promise<Source> {
    const usual = { port: PORT, source: SOURCES[0], device: "eth0", size: 500, rate: 500, ttl: 8 };
    return startSource(this.tree.source, { ...usual, group, ...plan });
  }

  /** Joins on a gateway's device; without sources, for any. */
  join(i: 0 | 1, group: string, ...sources: string[]): Promise<Listener> {
    return startListener(this.tree.gateways[i], {
      group,
      port: PORT,
      device: DEVICE,
      address: DEVICES[i],
      ...(sources.length > 0 ? { sources } : {}),
    });
  }
}

/** Asks again and again until the answer is true; fails after `milliseconds`, naming `what`. */
export async function eventually(
  what: string,
  milliseconds: number,
  ask: () => boolean | Promise<boolean>,
): Promise<void> {
  const until = performance.now() + milliseconds;
  while (!(await ask())) {
    assert.ok(performance.now() < until, `${what}: not within ${milliseconds} ms`);
    await sleep(50);
  }
}

/** Waits until a listener has heard its first source up to the packet numbered `last`. */
export async function heard(
  listener: Listener,
  last: number,
  milliseconds = 10_000,
): Promise<void> {
  const reached = () => (listener.progress()?.streams[0]?.last ?? -1) >= last;
  await eventually(`packet ${last} at the listener`, milliseconds, reached);
}

/** Waits until a listener has counted this many packets. */
export async function counted(listener: Listener, packets: number): Promise<void> {
  const reached = () => (listener.progress()?.streams[0]?.received ?? 0) >= packets;
  await eventually(`${packets} packets at the listener`, 20_000, reached);
}

/** Milliseconds until a device takes in no more packets; fails when it still does after `limit`. */
export async function silence(read: () => number, limit: number): Promise<number> {
  const QUIET_MS = 500;
  const started = performance.now();
  let changed = started;
  for (let last = read(); performance.now() - changed < QUIET_MS;) {
    await sleep(25);
    const now = read();
    if (now !== last) changed = performance.now();
    last = now;
    assert.ok(changed - started <= limit, `packets still come after ${limit} ms`);
  }
  return changed - started;
}
