import assert from "node:assert/strict";
import { test } from "node:test";
import { Reloader } from "../../src/cli/reloader.ts";
import { Running } from "../../src/cli/running.ts";
import type { Instance } from "../../src/config/systems.ts";
import type { L2tpService } from "../../src/runtime/l2tp.ts";
import type { Service } from "../../src/runtime/service.ts";

/** A relay of a file; only its name is looked at. */
function relay(name: string): Instance {
  return { role: "relay", name, config: {} } as unknown as Instance;
}

/** Services that start and stop when the test says so, and what has become of each. */
class Stage {
  readonly states = new Map<string, "starting" | "running" | "stopping" | "stopped">();
  /** What a test lets go on: "start north", "stop north". */
  readonly #gates = new Map<string, () => void>();
  readonly running = new Running({
    relay: (name) => this.#start(name),
    gateway: (name) => this.#start(name),
    receive: (name) => this.#start(name),
    l2tp: (name) => this.#start(name) as Promise<L2tpService>,
  });
  /** Names whose start, or whose stop, waits for `go`. */
  constructor(readonly slow: readonly string[]) {}

  go(what: string): void {
    const gate = this.#gates.get(what);
    assert.ok(gate, `nobody waits to ${what}`);
    gate();
  }

  async #start(name: string): Promise<Service> {
    this.states.set(name, "starting");
    await this.#gate(`start ${name}`);
    this.states.set(name, "running");
    let end: (reason: undefined) => void;
    const ended = new Promise<undefined>((resolve) => (end = resolve));
    const stop = async () => {
      this.states.set(name, "stopping");
      await this.#gate(`stop ${name}`);
      this.states.set(name, "stopped");
      end(undefined);
    };
    return { ended, stop } as unknown as Service;
  }

  #gate(what: string): Promise<void> {
    if (!this.slow.includes(what)) return Promise.resolve();
    return new Promise((resolve) => this.#gates.set(what, resolve));
  }
}

/** Lets everything happen that waits for nothing. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("an end waits for what a reload is starting, and a reload starts nothing after it", async () => {
  const stage = new Stage(["start second"]);
  const file = ["first", "second", "third"].map(relay);
  await stage.running.start(relay("first"));
  let ended = false;
  void stage.running.end.then(() => (ended = true));
  const reloaded = new Reloader(stage.running, () => file).reload();
  await settle();
  assert.equal(stage.states.get("second"), "starting");
  void stage.running.stop();
  await settle();
  assert.deepEqual([stage.states.get("first"), ended], ["stopped", false]);
  stage.go("start second");
  const { refused } = await reloaded;
  assert.deepEqual(refused, ["relay third: culvert is ending"]);
  assert.equal(await stage.running.end, 0);
  assert.deepEqual(
    [...stage.states],
    [
      ["first", "stopped"],
      ["second", "stopped"],
    ],
  );
});

test("an end waits for what a reload takes away", async () => {
  const stage = new Stage(["stop first"]);
  await stage.running.start(relay("first"));
  let ended = false;
  void stage.running.end.then(() => (ended = true));
  const reloaded = new Reloader(stage.running, () => []).reload();
  await settle();
  void stage.running.stop();
  await settle();
  assert.deepEqual([stage.states.get("first"), ended], ["stopping", false]);
  stage.go("stop first");
  await reloaded;
  await stage.running.end;
  assert.equal(stage.states.get("first"), "stopped");
});

test("L2TP is not started for a command that comes after the end", async () => {
  const stage = new Stage([]);
  await stage.running.stop();
  await assert.rejects(stage.running.l2tp(), { message: "culvert is ending" });
  assert.deepEqual([...stage.states], []);
});
