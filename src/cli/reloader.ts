/**
 * A configuration that is read anew: what is the same runs on undisturbed. L2TP changes tunnel by
 * tunnel and session by session; a relay or gateway that is changed is started anew.
 */
import { NO_L2TP } from "../config/l2tp.ts";
import type { Instance } from "../config/systems.ts";
import type { L2tpReloaded } from "../runtime/l2tp-reload.ts";
import { keyOf, type Running } from "./running.ts";

/** What a reload has done, and what it could not do. */
export type Reloaded = L2tpReloaded;

export class Reloader {
  readonly #running: Running;
  readonly #read: () => readonly Instance[];
  #last: Promise<unknown> = Promise.resolve();

  /** `read` throws what is wrong with the configuration. */
  constructor(running: Running, read: () => readonly Instance[]) {
    this.#running = running;
    this.#read = read;
  }

  /** Reads the configuration and follows it; one reload after the other. */
  reload(): Promise<Reloaded> {
    const done = this.#last.then(() => this.#follow(this.#read()));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #follow(instances: readonly Instance[]): Promise<Reloaded> {
    const done = { added: 0, changed: 0, removed: 0, kept: 0, refused: [] as string[] };
    const wanted = new Map(instances.map((instance) => [keyOf(instance), instance]));
    for (const [key, { role }] of this.#running.instances)
      if (role !== "l2tp" && !wanted.has(key)) {
        await this.#running.remove(key);
        done.removed++;
      }
    for (const [key, instance] of wanted) {
      if (instance.role === "l2tp") continue;
      const before = this.#running.instances.get(key);
      if (before && JSON.stringify(before.config) === JSON.stringify(instance.config)) {
        done.kept++;
        continue;
      }
      try {
        if (before) await this.#running.remove(key);
        await this.#running.start(instance);
        if (before) done.changed++;
        else done.added++;
      } catch (error) {
        done.refused.push(`${key}: ${(error as Error).message}`);
      }
    }
    const l2tp = instances.find((instance) => instance.role === "l2tp");
    if (!l2tp && !this.#running.hasL2tp) return done;
    if (!this.#running.hasL2tp)
      await this.#running.start({ ...l2tp!, config: { ...l2tp!.config, tunnels: [] } });
    const service = await this.#running.l2tp();
    return total(done, await service.reload(l2tp?.config ?? NO_L2TP));
  }
}

function total(one: Reloaded, other: Reloaded): Reloaded {
  return {
    added: one.added + other.added,
    changed: one.changed + other.changed,
    removed: one.removed + other.removed,
    kept: one.kept + other.kept,
    refused: [...one.refused, ...other.refused],
  };
}
