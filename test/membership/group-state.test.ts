/** The router's table of RFC 3376 §6.4 (RFC 3810 §7.4), row by row, timers included. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { GroupState } from "../../src/membership/group-state.ts";
import type { RecordKind } from "../../src/wire/membership.ts";
import { LIFETIME, NAMES } from "./support.ts";

const { source } = NAMES[4];
const NO_LIMIT = 1_000;
const T = LIFETIME;

/** Timers by source name; "blocked" in place of one that does not run; group only in EXCLUDE. */
type Timers = Readonly<Record<string, number | "blocked">>;

interface Row {
  readonly kind: RecordKind;
  readonly after: Timers;
  readonly querySources?: readonly string[];
  readonly queryGroup?: true;
}

/** INCLUDE (a1, a2), both timers ending at T, takes a record of (a1, n1) at 20 s. */
const INCLUDE_ROWS: readonly Row[] = [
  { kind: "is-in", after: { a1: T + 20_000, a2: T, n1: T + 20_000 } },
  { kind: "allow", after: { a1: T + 20_000, a2: T, n1: T + 20_000 } },
  { kind: "block", after: { a1: T, a2: T }, querySources: ["a1"] },
  { kind: "to-in", after: { a1: T + 20_000, a2: T, n1: T + 20_000 }, querySources: ["a2"] },
  { kind: "is-ex", after: { group: T + 20_000, a1: T, n1: "blocked" } },
  { kind: "to-ex", after: { group: T + 20_000, a1: T, n1: "blocked" }, querySources: ["a1"] },
];

/**
 * EXCLUDE (X = x1, x2 ending at T + 10 s; Y = y1, y2), its group timer ending at T, takes a record
 * of (x1, y1, n1) at 20 s.
 */
const EXCLUDE_ROWS: readonly Row[] = [
  {
    kind: "is-in",
    after: {
      group: T,
      x1: T + 20_000,
      x2: T + 10_000,
      y1: T + 20_000,
      y2: "blocked",
      n1: T + 20_000,
    },
  },
  {
    kind: "allow",
    after: {
      group: T,
      x1: T + 20_000,
      x2: T + 10_000,
      y1: T + 20_000,
      y2: "blocked",
      n1: T + 20_000,
    },
  },
  {
    kind: "is-ex",
    after: { group: T + 20_000, x1: T + 10_000, y1: "blocked", n1: T + 20_000 },
  },
  {
    kind: "to-ex",
    after: { group: T + 20_000, x1: T + 10_000, y1: "blocked", n1: T },
    querySources: ["x1", "n1"],
  },
  {
    kind: "block",
    after: { group: T, x1: T + 10_000, x2: T + 10_000, y1: "blocked", y2: "blocked", n1: T },
    querySources: ["x1", "n1"],
  },
  {
    kind: "to-in",
    after: {
      group: T,
      x1: T + 20_000,
      x2: T + 10_000,
      y1: T + 20_000,
      y2: "blocked",
      n1: T + 20_000,
    },
    querySources: ["x2"],
    queryGroup: true,
  },
];

function timersOf(state: GroupState): Timers {
  const timers: Record<string, number | "blocked"> = {};
  if (state.groupEnd !== undefined) timers["group"] = state.groupEnd;
  const blocked = state.mode === "exclude" ? state.filter().sources : [];
  for (const name of ["a1", "a2", "x1", "x2", "y1", "y2", "n1"]) {
    const end = state.sourceEnd(source(name));
    if (end !== undefined) timers[name] = end;
    if (blocked.includes(source(name))) timers[name] = "blocked";
  }
  return timers;
}

function check(state: GroupState, record: readonly string[], row: Row): void {
  const applied = state.apply(row.kind, record.map(source), 20_000, T, NO_LIMIT);
  assert.deepEqual(timersOf(state), row.after);
  const wanted: Address[] = (row.querySources ?? []).map(source);
  assert.deepEqual(applied.querySources.toSorted(), wanted.toSorted());
  assert.equal(applied.queryGroup, row.queryGroup ?? false);
  assert.equal(applied.refused, 0);
}

for (const row of INCLUDE_ROWS) {
  test(`INCLUDE (A) takes ${row.kind} (B) as the table says (RFC 3376 §6.4, RFC 3810 §7.4)`, () => {
    const state = new GroupState();
    state.apply("is-in", [source("a1"), source("a2")], 0, T, NO_LIMIT);
    check(state, ["a1", "n1"], row);
  });
}

for (const row of EXCLUDE_ROWS) {
  test(`EXCLUDE (X,Y) takes ${row.kind} (A) as the table says (RFC 3376 §6.4, RFC 3810 §7.4)`, () => {
    const state = new GroupState();
    state.apply("is-ex", [source("y1"), source("y2")], 0, T, NO_LIMIT);
    state.apply("allow", [source("x1"), source("x2")], 10_000, T, NO_LIMIT);
    check(state, ["x1", "y1", "n1"], row);
  });
}

test("a source whose timer ends in INCLUDE mode is gone, and with the last the group (RFC 3376 §6.3)", () => {
  const state = new GroupState();
  state.apply("allow", [source("a1")], 0, T, NO_LIMIT);
  state.apply("allow", [source("a2")], 10_000, T, NO_LIMIT);
  assert.equal(state.nextEnd(), T);
  state.expire(T - 1);
  assert.deepEqual(timersOf(state), { a1: T, a2: T + 10_000 });
  state.expire(T);
  assert.deepEqual(timersOf(state), { a2: T + 10_000 });
  assert.ok(!state.isEmpty);
  state.expire(T + 10_000);
  assert.ok(state.isEmpty);
  assert.equal(state.sourceCount, 0);
  assert.equal(state.nextEnd(), Number.POSITIVE_INFINITY);
});

test("a source whose timer ends in EXCLUDE mode is kept and blocked (RFC 3376 §6.3)", () => {
  const state = new GroupState();
  state.apply("allow", [source("x1")], 0, T, NO_LIMIT);
  state.apply("is-ex", [source("x1")], 10_000, T, NO_LIMIT);
  assert.deepEqual(timersOf(state), { group: T + 10_000, x1: T });
  state.expire(T);
  assert.deepEqual(timersOf(state), { group: T + 10_000, x1: "blocked" });
});

test("a group timer's end leaves INCLUDE of the running sources, or nothing (RFC 3376 §6.5)", () => {
  for (const [allowed, left] of [
    [["x1"], { x1: T + 10_000 }],
    [["x1", "x2"], { x1: T + 10_000, x2: T + 10_000 }],
    [[], {}],
  ] as const) {
    const state = new GroupState();
    state.apply("is-ex", [source("y1")], 0, T, NO_LIMIT);
    state.apply("allow", allowed.map(source), 10_000, T, NO_LIMIT);
    state.expire(T);
    assert.equal(state.mode, "include");
    assert.deepEqual(timersOf(state), left);
    assert.equal(state.isEmpty, allowed.length === 0);
  }
});

test("timers are only ever lowered, and blocked sources stay blocked (RFC 3376 §6.6.3)", () => {
  const state = new GroupState();
  state.apply("is-ex", [source("y1")], 0, T, NO_LIMIT);
  state.apply("allow", [source("x1")], 0, T, NO_LIMIT);
  state.lowerSources([source("x1"), source("y1"), source("n1")], 2_000);
  state.lowerGroup(3_000);
  assert.deepEqual(timersOf(state), { group: 3_000, x1: 2_000, y1: "blocked" });
  state.lowerSources([source("x1")], 9_000);
  state.lowerGroup(9_000);
  assert.deepEqual(timersOf(state), { group: 3_000, x1: 2_000, y1: "blocked" });
});

test("sources above the limit are left out and counted, those held are renewed", () => {
  const state = new GroupState();
  const names = ["a1", "a2", "x1", "x2"];
  assert.equal(state.apply("allow", names.map(source), 0, T, 2).refused, 2);
  assert.deepEqual(timersOf(state), { a1: T, a2: T });
  assert.equal(state.apply("is-in", names.map(source), 5_000, T, 2).refused, 2);
  assert.deepEqual(timersOf(state), { a1: T + 5_000, a2: T + 5_000 });
  assert.equal(state.apply("to-ex", ["x1", "x2", "y1"].map(source), 9_000, T, 2).refused, 1);
  assert.deepEqual(timersOf(state), { group: T + 9_000, x1: "blocked", x2: "blocked" });
  assert.equal(state.apply("block", [source("n1")], 9_000, T, 2).refused, 1);
});
