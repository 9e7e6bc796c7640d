import assert from "node:assert/strict";
import { test } from "node:test";
import type { Family } from "../../../src/core/address.ts";
import {
  candidatesOf,
  type Candidate,
  type ResolvedRecord,
} from "../../../src/protocols/driad/candidates.ts";
import { HoldDown } from "../../../src/protocols/driad/hold-down.ts";
import { seededEntropy } from "../../sim/entropy.ts";

function at(precedence: number, ...addresses: string[]): ResolvedRecord {
  const relay = { kind: "name", name: "relays.example" } as const;
  return { record: { precedence, discoveryOptional: false, relay }, addresses };
}

function none(precedence: number): ResolvedRecord {
  return {
    record: { precedence, discoveryOptional: false, relay: { kind: "none" } },
    addresses: [],
  };
}

function order(
  records: readonly ResolvedRecord[],
  families: readonly Family[] = [4, 6],
  seed = 1,
): string[] {
  return addressesOf(candidatesOf(records, families, seededEntropy(seed)));
}

const addressesOf = (candidates: readonly Candidate[]) =>
  candidates.map(({ endpoint }) => endpoint.address);

test("a lower precedence comes first, whatever the family (RFC 8777 §4.2.1)", () => {
  const records = [
    at(20, "192.0.2.20"),
    at(0, "2001:db8::1"),
    at(255, "192.0.2.9"),
    at(3, "192.0.2.3"),
  ];
  assert.deepEqual(order(records), ["2001:db8::1", "192.0.2.3", "192.0.2.20", "192.0.2.9"]);
});

test("within a precedence the preferred family comes first, and only usable ones (RFC 8777 §2.4.2)", () => {
  const records = [at(1, "192.0.2.1", "2001:db8::1"), at(2, "192.0.2.2")];
  assert.deepEqual(order(records, [6, 4]), ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(order(records, [4, 6]), ["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
  assert.deepEqual(order(records, [6]), ["2001:db8::1"]);
});

test("within precedence and family chance decides (RFC 8777 §2.4.2)", () => {
  const firsts = new Map<string, number>();
  for (let seed = 0; seed < 900; seed++) {
    const [first] = order([at(1, "192.0.2.1", "192.0.2.2"), at(1, "192.0.2.3")], [4], seed);
    firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
  }
  assert.equal(firsts.size, 3);
  for (const count of firsts.values()) assert.ok(count > 220 && count < 380, `${count}`);
});

test("precedence and D carry over to the addresses of a name; the port is AMT's (RFC 8777 §4.2.4)", () => {
  const record = {
    precedence: 7,
    discoveryOptional: true,
    relay: { kind: "name", name: "a.example" },
  } as const;
  const found = candidatesOf([{ record, addresses: ["192.0.2.1"] }], [4], seededEntropy(1));
  assert.deepEqual(found, [
    {
      endpoint: { address: "192.0.2.1", port: 2268 },
      precedence: 7,
      discoveryOptional: true,
    },
  ]);
});

test("a record without a relay ends the list at its precedence (RFC 8777 §4.2.4)", () => {
  assert.deepEqual(order([none(0), at(1, "192.0.2.1")]), []);
  assert.deepEqual(order([none(1), at(1, "192.0.2.1"), at(0, "192.0.2.2")]), ["192.0.2.2"]);
});

test("an address that several records name is tried once, at its best place", () => {
  const records = [at(5, "192.0.2.1"), at(1, "192.0.2.1"), at(3, "192.0.2.2")];
  assert.deepEqual(order(records), ["192.0.2.1", "192.0.2.2"]);
});

test("the DNS sends nobody to a group, to this host or to this link", () => {
  const strange = [
    ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"],
    ["::", "::1", "fe80::1", "ff02::1", "::ffff:c000:201", "::c000:201"],
  ].flat();
  assert.deepEqual(order([at(1, ...strange, "192.0.2.1")]), ["192.0.2.1"]);
});

test("a relay that fell silent is left alone for 3 to 10 minutes, a full one for 10 (RFC 8777 §2.5.4.1, §2.5.5)", () => {
  const relay = { address: "192.0.2.1", port: 2268 };
  const times = Array.from({ length: 200 }, (_, seed) => {
    const table = new HoldDown(seededEntropy(seed));
    table.hold(relay, "lost", 1_000);
    assert.ok(table.holds(relay, 180_999));
    assert.ok(!table.holds(relay, 601_000));
    assert.ok(!table.holds({ ...relay, port: 2269 }, 1_000));
    let [held, free] = [180_999, 601_000];
    while (free - held > 1_000) {
      const middle = (held + free) / 2;
      if (table.holds(relay, middle)) held = middle;
      else free = middle;
    }
    return held;
  });
  assert.ok(Math.min(...times) < 230_000 && Math.max(...times) > 550_000);
  const table = new HoldDown(seededEntropy(1));
  table.hold(relay, "limit", 0);
  table.hold(relay, "lost", 0);
  assert.ok(table.holds(relay, 599_999));
  assert.ok(!table.holds(relay, 600_000));
});
