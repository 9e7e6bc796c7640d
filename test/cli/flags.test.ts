import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import fc from "fast-check";
import { check, type Checked } from "../../src/config/check.ts";
import type { System } from "../../src/config/system.ts";
import { SYSTEMS, type Role } from "../../src/config/systems.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { addFlags, docOf, flagOf, rawOf } from "../../src/cli/flags.ts";

/** What `args` say about `role`, as its command reads them. */
function parse(role: Role, args: readonly string[]): Record<string, unknown> {
  const command = new Command(role);
  addFlags(command, SYSTEMS[role]);
  command.parse(args, { from: "user" });
  return rawOf(command, SYSTEMS[role]);
}

type Held = string | number;

/** Values for each kind of field, as a file would hold them: ones that it accepts, ones it may not. */
const VALUES: Readonly<Record<string, readonly [readonly Held[], readonly Held[]]>> = {
  "ADDR[:PORT]": [
    ["192.0.2.1", "192.0.2.1:9", "192.0.2.2"],
    ["2001:db8::1", "fe80::1", "0.0.0.0", "239.1.1.1", "relay", "192.0.2.1:99999"],
  ],
  NAME: [
    ["eth1", "culvert0"],
    ["a-name-that-is-too-long", "a/b"],
  ],
  N: [
    [1, 2, 7],
    [0, 0.5, -1, 1e13, "many"],
  ],
  VERSION: [
    [1, 2],
    [0, 4, 1.5, "v2"],
  ],
  SECONDS: [
    [1, 2, 30, 2.5],
    [0.01, -1, 1e9, "1h"],
  ],
  OCTETS: [
    [1500, 9000],
    [575, 65_536],
  ],
  KBITS: [
    [64, 20_000],
    [63, "20M"],
  ],
  PORT: [
    [5000, 65_535],
    [0, "http"],
  ],
  "ADDR/LENGTH": [["10.0.0.1/8", "2001:db8::1/64"], ["10.0.0.1"]],
  ADDR: [
    ["192.0.2.1", "2001:db8::1"],
    ["239.1.1.1", "192.0.2.1/32"],
  ],
  PREFIX: [
    ["232.0.0.0/8", "ff3e::/32", "192.0.2.9"],
    ["10.0.0.1/8", "192.0.2.0/33"],
  ],
  FILE: [["/etc/culvert/secret"], [""]],
  "N|auto": [
    ["auto", "3"],
    ["several", "-1"],
  ],
  CPUS: [
    ["1-3,6", "0"],
    ["3-1", "a"],
  ],
  "on|off": [
    ["on", "off"],
    ["yes", 1],
  ],
  URL: [["amt://239.1.1.1:5000", "amt://192.0.2.9@232.1.1.1:5000"], ["amt://232.1.1.1:5"]],
  SERVER: [
    ["system", "192.0.2.53", "127.0.0.1:5353", "[2001:db8::53]:53"],
    ["yes", "239.1.1.1", "192.0.2.53:0", 53],
  ],
  WHERE: [["-", "a.ts", "udp://127.0.0.1:5000"], ["udp://x"]],
};

/** Some of a system's settings as a file would hold them, many of them wrong. */
function anySettings(system: System, wrong: boolean): fc.Arbitrary<Record<string, unknown>> {
  const entries = Object.keys(system.fields).map((key) => {
    const doc = docOf(system.fields, key);
    const [good, bad] = VALUES[doc.takes]!;
    const value = fc.constantFrom(...good, ...(wrong ? bad : []));
    const held: fc.Arbitrary<unknown> = doc.list
      ? (wrong ? fc.array : fc.uniqueArray)(value, { minLength: 1, maxLength: 3 })
      : value;
    return [key, doc.positional ? held : fc.option(held, { nil: undefined, freq: 2 })] as const;
  });
  return fc
    .record(Object.fromEntries(entries))
    .map((record) => Object.fromEntries(Object.entries(record).filter(([, v]) => v !== undefined)));
}

/** Settings that are accepted. */
function goodSettings(system: System): fc.Arbitrary<Record<string, unknown>> {
  return fc.tuple(anySettings(system, false), fc.nat()).map(([raw, pick]) => {
    if (Object.hasOwn(system.fields, "local")) raw.local ??= "192.0.2.1";
    for (const choices of system.oneOf) {
      const chosen = choices[pick % choices.length]!;
      raw[chosen] ??= VALUES[docOf(system.fields, chosen).takes]![0][0];
      for (const other of choices) if (other !== chosen) delete raw[other];
    }
    // All of the addresses above are of one family.
    if (system.role !== "relay") raw.local = [raw.local].flat().slice(0, 1);
    for (const choices of system.someOf ?? []) {
      const [chosen] = choices;
      if (choices.every((key) => raw[key] === undefined))
        raw[chosen!] = VALUES[docOf(system.fields, chosen!).takes]![0][0];
    }
    for (const choices of system.notBoth ?? []) {
      const [, ...others] = choices.filter((key) => raw[key] !== undefined);
      for (const other of others) delete raw[other];
    }
    for (const [key, others] of Object.entries(system.needs))
      if (others.every((other) => raw[other] === undefined)) delete raw[key];
    for (const [key, other] of Object.entries(system.below)) {
      raw[other] ??= 125;
      if (Number(raw[key]) >= Number(raw[other])) delete raw[key];
    }
    return raw;
  });
}

function asFlags(system: System, raw: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(raw).flatMap(([key, value]) => {
    const flag = flagOf(system.fields, key);
    const texts = (Array.isArray(value) ? value : [value]).map(String);
    return docOf(system.fields, key).positional ? texts : texts.flatMap((text) => [flag, text]);
  });
}

for (const role of Object.keys(SYSTEMS) as Role[]) {
  const system = SYSTEMS[role];
  const fromFlags = (raw: Record<string, unknown>) =>
    check(role, parse(role, asFlags(system, raw)));

  test(`the flags of ${role} and its keys in a file mean the same`, () => {
    fc.assert(
      fc.property(goodSettings(system), (raw) => {
        const fromFile = check(role, raw);
        assert.ok("value" in fromFile);
        assert.deepEqual(fromFlags(raw), fromFile);
      }),
      { numRuns: 500 },
    );
  });

  test(`the flags of ${role} and its keys in a file are wrong for the same reasons`, () => {
    fc.assert(
      fc.property(anySettings(system, true), (raw) => {
        assert.deepEqual(reasons(fromFlags(raw)), reasons(check(role, raw)));
      }),
      { numRuns: 500 },
    );
  });
}

/** What was expected where; a flag's value is text, so what was got may be spelled differently. */
function reasons(checked: Checked<unknown>): [string, string][] {
  const faults = "faults" in checked ? checked.faults : [];
  return faults.map(({ path, expected }) => [path.join("."), expected]);
}

test("the flags of a list may be repeated, or hold several values with commas", () => {
  const relay = ["--local", "192.0.2.1", "--ingress", "eth1"];
  const ports = ["--ingress-ports", "5000,5001", "--ingress-ports", "5002"];
  const checked = check("relay", parse("relay", [...relay, ...ports]));
  assert.ok("value" in checked);
  assert.deepEqual(checked.value.ingressPorts, [5000, 5001, 5002]);
});

test("a relay has any number of endpoints, of both families, each only once", () => {
  const relay = ["--ingress", "eth1", "--local", "192.0.2.1,[2001:db8::1]:9", "--local"];
  const checked = check("relay", parse("relay", [...relay, "2001:DB8:0::2"]));
  assert.ok("value" in checked);
  assert.deepEqual(checked.value.local, [
    { address: "192.0.2.1", port: 2268 },
    { address: "2001:db8::1", port: 9 },
    { address: "2001:db8::2", port: 2268 },
  ]);
  const twice = check("relay", parse("relay", [...relay, "192.0.2.1:2268"]));
  assert.deepEqual(reasons(twice), [["local.2", "each one only once"]]);
});

test("every example of a configured command is accepted as written", () => {
  for (const { name, example } of COMMANDS) {
    if (!Object.hasOwn(SYSTEMS, name)) continue;
    const [program, command, ...args] = example.split(" ");
    assert.deepEqual([program, command], ["culvert", name]);
    const checked = check(name as Role, parse(name as Role, args));
    assert.ok("value" in checked, example);
  }
});

test("a receiver takes an IPv6 stream, a relay, an output and the limits that end it", () => {
  const checked = check(
    "receive",
    parse("receive", [
      ..."amt://[2001:db8::1]@[ff3e::1]:5000 --relay 192.0.2.1 -o udp://127.0.0.1:5000".split(" "),
      ..."--count 10 --timeout 2.5".split(" "),
    ]),
  );
  assert.deepEqual(checked, {
    value: {
      url: { source: "2001:db8::1", group: "ff3e::1", port: 5000 },
      quirks: true,
      relay: [{ address: "192.0.2.1", port: 2268 }],
      output: { kind: "udp", to: { address: "127.0.0.1", port: 5000 } },
      count: 10,
      timeout: 2_500,
      portable: false,
    },
  });
});
