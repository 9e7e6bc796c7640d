/** The data plane as the relay's commands see it, in its plainest form. */
import assert from "node:assert/strict";
import type { RouteChange } from "../../../src/protocols/amt/forwarding.ts";

/** What the data plane keeps, and how it looks up; refuses commands that change nothing. */
export class DataPlane {
  readonly routes = new Map<string, Set<number>>();
  static key(group: string, source: string | undefined): string {
    return `${source ?? "*"},${group}`;
  }
  apply(change: RouteChange): void {
    const key = DataPlane.key(change.group, change.source);
    const list = this.routes.get(key);
    if (change.kind === "route") {
      assert.equal(list === undefined, change.change === "add", `${change.change} ${key}`);
      if (change.change === "add") this.routes.set(key, new Set());
      else this.routes.delete(key);
    } else {
      assert.ok(list, `member of absent ${key}`);
      assert.equal(list.has(change.tunnel), change.change === "remove", `${change.change} ${key}`);
      if (change.change === "add") list.add(change.tunnel);
      else list.delete(change.tunnel);
    }
  }
  gets(tunnel: number, group: string, source: string): boolean {
    const list =
      this.routes.get(DataPlane.key(group, source)) ??
      this.routes.get(DataPlane.key(group, undefined));
    return list?.has(tunnel) ?? false;
  }
}
