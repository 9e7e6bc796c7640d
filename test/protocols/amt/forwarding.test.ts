import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ForwardingTable,
  type RouteChange,
  type UpstreamChange,
} from "../../../src/protocols/amt/forwarding.ts";
import { isEmpty, mergeFilters, sameFilter, wants } from "../../../src/membership/filter.ts";
import type { GroupFilter } from "../../../src/wire/membership.ts";
import { DataPlane } from "./data-plane.ts";
import { G, NOTHING, S, T, exclude, include } from "./rig.ts";

/** A table whose commands go to a data plane, and the list of them. */
function rig() {
  const plane = new DataPlane();
  const changes: (RouteChange | UpstreamChange)[] = [];
  const upstream = new Map<string, GroupFilter>();
  const table = new ForwardingTable((change) => {
    changes.push(change);
    if (change.kind === "upstream") upstream.set(change.group, change.filter);
    else plane.apply(change);
  });
  const wanted = new Map<string, GroupFilter>();
  /** What `tunnel` wants of `group` from now on. */
  function set(tunnel: number, group: string, filter: GroupFilter): void {
    const key = `${tunnel} ${group}`;
    table.change(tunnel, group, wanted.get(key) ?? NOTHING, filter);
    wanted.set(key, filter);
  }
  return { plane, changes, upstream, table, set };
}

test("an INCLUDE tunnel gets its source and nothing else (RFC 3376 §6.3)", () => {
  const { changes, set } = rig();
  set(1, G, include(S));
  assert.deepEqual(changes, [
    { kind: "route", change: "add", group: G, source: S },
    { kind: "member", change: "add", group: G, source: S, tunnel: 1 },
    { kind: "upstream", group: G, filter: include(S) },
  ]);
});

test("an (S,G) route that comes to be takes along those of (*,G) who do not block S", () => {
  const { changes, plane, set } = rig();
  set(1, G, exclude());
  set(2, G, exclude(T));
  changes.length = 0;
  set(3, G, include(S));
  assert.deepEqual(changes[0], { kind: "route", change: "add", group: G, source: S });
  const members = changes.slice(1);
  assert.ok(members.every((one) => one.kind === "member" && one.change === "add"));
  assert.equal(members.length, 3);
  assert.deepEqual(plane.routes.get(`${S},${G}`), new Set([1, 2, 3]));
  assert.deepEqual(plane.routes.get(`${T},${G}`), new Set([1]));
});

test("a source that all block has a route with an empty list, and is blocked upstream", () => {
  const { plane, upstream, set } = rig();
  set(1, G, exclude(S));
  assert.deepEqual(plane.routes.get(`${S},${G}`), new Set());
  assert.deepEqual(upstream.get(G), exclude(S));
  set(2, G, exclude());
  assert.deepEqual(upstream.get(G), exclude());
});

test("the last to leave takes every route and the upstream membership along", () => {
  const { table, plane, upstream, set } = rig();
  set(1, G, exclude(S));
  set(2, G, include(S, T));
  set(1, G, NOTHING);
  assert.deepEqual(upstream.get(G), include(S, T));
  set(2, G, NOTHING);
  assert.deepEqual(upstream.get(G), NOTHING);
  assert.equal(plane.routes.size, 0);
  assert.deepEqual([...table.groups()], []);
});

test("setting what is already so commands nothing", () => {
  const { changes, set } = rig();
  set(1, G, NOTHING);
  set(1, G, include(S, T));
  const before = changes.length;
  set(1, G, include(T, S));
  set(2, G, NOTHING);
  assert.equal(changes.length, before);
});

test("after any changes each tunnel gets just what its filter wants, and upstream what any wants", () => {
  const source = fc.constantFrom("s1", "s2", "s3", "s4", "s5");
  const filter = fc.record({
    mode: fc.constantFrom("include" as const, "exclude" as const),
    sources: fc.uniqueArray(source),
  });
  const step = fc.record({ tunnel: fc.nat(4), group: fc.constantFrom("g1", "g2"), filter });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { table, plane, upstream, set } = rig();
      const wanted = new Map<string, GroupFilter>();
      for (const { tunnel, group, filter: next } of steps) {
        set(tunnel, group, next);
        wanted.set(`${tunnel} ${group}`, next);
        for (const g of ["g1", "g2"]) {
          const filters = [0, 1, 2, 3, 4].map((t) => wanted.get(`${t} ${g}`) ?? NOTHING);
          for (const s of ["s1", "s2", "s3", "s4", "s5", "elsewhere"]) {
            for (const [t, one] of filters.entries())
              assert.equal(plane.gets(t, g, s), wants(one, s), `${t} ${g} ${s}`);
            // No route decides as (*,G) does.
            const list = plane.routes.get(`${s},${g}`);
            const star = plane.routes.get(`*,${g}`) ?? new Set();
            if (list) assert.notDeepEqual(list, star);
          }
          assert.notEqual(plane.routes.get(`*,${g}`)?.size, 0);
          assert.ok(sameFilter(upstream.get(g) ?? NOTHING, mergeFilters(filters)), g);
          const members = filters.filter((one) => !isEmpty(one)).length;
          const held = [...table.groups()].find((one) => one.group === g);
          assert.equal(held?.members ?? 0, members);
        }
        const rebuilt = new DataPlane();
        for (const change of table.routes()) rebuilt.apply(change);
        assert.deepEqual(rebuilt.routes, plane.routes);
      }
    }),
  );
});

test("a tunnel enters its new routes before it leaves the old ones", () => {
  const { changes, set } = rig();
  set(1, G, exclude());
  changes.length = 0;
  set(1, G, include(S));
  set(1, G, exclude());
  assert.deepEqual(changes, [
    { kind: "route", change: "add", group: G, source: S },
    { kind: "member", change: "add", group: G, source: S, tunnel: 1 },
    { kind: "route", change: "remove", group: G },
    { kind: "upstream", group: G, filter: include(S) },
    { kind: "route", change: "add", group: G },
    { kind: "member", change: "add", group: G, tunnel: 1 },
    { kind: "route", change: "remove", group: G, source: S },
    { kind: "upstream", group: G, filter: exclude() },
  ]);
});
