import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { problemText, readConfig, type FileConfig } from "../../src/config/file.ts";
import { SYSTEMS } from "../../src/config/systems.ts";

/** What is wrong with a file, as the operator reads it. */
function problems(text: string): string[] {
  const config = readConfig(text, "culvert.yaml");
  return "problems" in config ? config.problems.map(problemText) : [];
}

function accepted(text: string): FileConfig {
  const config = readConfig(text, "culvert.yaml");
  if ("problems" in config) assert.fail(config.problems.map(problemText).join("\n"));
  return config;
}

test("a file gives its services in order, endpoints parsed and durations in milliseconds", () => {
  const config = accepted(`
relays:
  north: { local: 192.0.2.1, ingress: eth1, queryInterval: 60, ingressPorts: [5000, 5001] }
gateways:
  home: { local: 198.51.100.2, discovery: "192.52.193.1:2269", tap: tap0, address: 10.9.8.1/24, quirks: off }
control: /run/c.sock
`);
  assert.equal(config.control, "/run/c.sock");
  const [relay, gateway] = config.instances;
  assert.deepEqual(relay, {
    role: "relay",
    name: "north",
    config: {
      local: [{ address: "192.0.2.1", port: 2268 }],
      ingress: ["eth1"],
      ingressPorts: [5000, 5001],
      ingressRing: true,
      maxTunnels: 4096,
      maxTunnelsPerAddress: 256,
      maxGroups: 128,
      maxSources: 128,
      queryInterval: 60_000,
      queryResponseInterval: 10_000,
      robustness: 2,
      secretInterval: 7_200_000,
      discoveryRate: 10_000,
      discoveryRatePerAddress: 100,
      requestRate: 50_000,
      requestRatePerAddress: 1_000,
      updateRate: 50_000,
      updateRatePerAddress: 5_000,
      drain: 0,
      quirks: true,
      pathMtuDiscovery: true,
      leastPathMtu: 576,
      lanes: "auto",
      busyPoll: 20,
    },
  });
  assert.deepEqual(gateway, {
    role: "gateway",
    name: "home",
    config: {
      local: [{ address: "198.51.100.2", port: 0 }],
      discovery: { address: "192.52.193.1", port: 2269 },
      tap: "tap0",
      queryInterval: 125_000,
      queryResponseInterval: 10_000,
      robustness: 2,
      lastMemberQueryInterval: 1_000,
      igmpVersion: 3,
      mldVersion: 2,
      address: ["10.9.8.1/24"],
      maxTunnels: 64,
      quirks: false,
      lanes: "auto",
      busyPoll: 20,
    },
  });
});

test("all errors are told at once, each at its line and column", () => {
  assert.deepEqual(
    problems(`relays:
  north:
    local: 192.0.2
    ingress: eth1
    lanes: 0
    ingressPorts: [5000, 70000]
  south: { local: 192.0.2.2 }
gateways:
  home:
    local: 0.0.0.0
    relay: 192.0.2.1
    discovery: 192.0.2.1
    tun:
`),
    [
      'culvert.yaml:3:12 relays.north.local: expected an IPv4 or IPv6 address of this host that is not link-local, or ADDR:PORT with IPv6 in brackets, got "192.0.2"',
      "culvert.yaml:5:12 relays.north.lanes: expected a whole number from 1 to 64, or auto, got 0",
      "culvert.yaml:6:26 relays.north.ingressPorts.1: expected a UDP port from 1 to 65535, got 70000",
      "culvert.yaml:7:3 relays.south: expected exactly one of ingress and tun, got none",
      "culvert.yaml:12:5 gateways.home.discovery: expected at most one of relay and discovery, got relay and discovery",
      "culvert.yaml:13:5 gateways.home.tun: expected an interface name of 1 to 15 characters, got nothing",
    ],
  );
});

test("a switch is on or off, true or false, and nothing else", () => {
  const relay = (value: string) =>
    `relays: { a: { local: 192.0.2.1, tun: amt0, quirks: ${value} } }`;
  const quirksOf = (value: string) => {
    const [instance] = accepted(relay(value)).instances;
    return instance?.role === "relay" && instance.config.quirks;
  };
  assert.deepEqual(["on", "off", "true", "false"].map(quirksOf), [true, false, true, false]);
  assert.deepEqual(problems(relay("1")), [
    "culvert.yaml:1:53 relays.a.quirks: expected on or off, got 1",
  ]);
  assert.match(problems("relays: { a: { local: 192.0.2.1, tun: true } }")[0]!, /interface name/);
});

test("an unknown key is an error that suggests what was meant", () => {
  assert.deepEqual(problems("relay: {}\n"), [
    'culvert.yaml:1:1 relay: expected a known key, got "relay"; did you mean "relays"?',
  ]);
  assert.deepEqual(
    problems(`relays:
  north:
    local: 192.0.2.1
    ingress: eth1
    query_interval: 60
    robustnes: 3
    colour: red
`),
    [
      'culvert.yaml:5:5 relays.north.query_interval: expected a known key, got "query_interval"; did you mean "queryInterval"?',
      'culvert.yaml:6:5 relays.north.robustnes: expected a known key, got "robustnes"; did you mean "robustness"?',
      'culvert.yaml:7:5 relays.north.colour: expected a known key, got "colour"',
    ],
  );
});

test("a key of the Linux driver is answered with ours", () => {
  const [problem] = problems("relays: { a: { local: 192.0.2.1, tun: amt0, max_tunnels: 5 } }");
  assert.match(problem!, /did you mean "maxTunnels"\?|max_tunnels is "maxTunnels" here/);
  const [port] = problems("relays: { a: { local: 192.0.2.1, tun: amt0, relay_port: 5 } }");
  assert.match(port!, /the Linux driver's relay_port is "local" here$/);
});

test("settings that need another one, or must be below it, are told together", () => {
  assert.deepEqual(
    problems(
      `relays: { a: { local: 192.0.2.1, tun: amt0, ingressPorts: 5000, queryInterval: 5, queryResponseInterval: 5 } }`,
    ),
    [
      "culvert.yaml:1:45 relays.a.ingressPorts: expected ingress beside it, got none",
      "culvert.yaml:1:106 relays.a.queryResponseInterval: expected less than queryInterval, got 5",
    ],
  );
});

test("addresses that mean nothing without an interface, or are of no host, are refused", () => {
  const addresses = ["fe80::1", "fe80::1%eth0", "febf::1", "::ffff:192.0.2.1", "ff02::1", "::"];
  for (const address of addresses) {
    const [local] = problems(`relays: { a: { local: "${address}", tun: amt0 } }`);
    assert.match(local ?? "", /local: expected .* not link-local.*, got "/, address);
    const [relay] = problems(`gateways: { a: { local: "::", tun: a0, relay: "${address}" } }`);
    assert.match(relay ?? "", /relay: expected .* not link-local.*, got "/, address);
  }
  accepted(`relays: { a: { local: "fec0::1", tun: amt0 } }`);
});

test("a relay advertises no address that gateways on other hosts would refuse", () => {
  const file = (address: string) =>
    `relays: { a: { local: 192.0.2.1, advertise: "${address}", tun: amt0 } }`;
  const refused = ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "0.1.2.3", "240.0.0.1"];
  for (const address of [...refused, "255.255.255.255", "224.0.0.1", "ff0e::1", "fe80::1"]) {
    const expected = "a unicast IPv4 or IPv6 address that other hosts can reach, neither loopback";
    const [problem] = problems(file(address));
    assert.match(problem ?? "", new RegExp(`advertise: expected ${expected}.*, got "`), address);
  }
  for (const address of ["192.0.2.9", "10.0.0.1", "fd00::1"]) accepted(file(address));
});

test("a gateway's own address is of its relay's family, or a wildcard", () => {
  const gateway = (local: string, relay: string) =>
    `gateways: { a: { local: "${local}", tun: amt0, ${relay} } }`;
  assert.deepEqual(problems(gateway("192.0.2.1", 'relay: "2001:db8::1"')), [
    'culvert.yaml:1:25 gateways.a.local: expected an IPv6 address, as relay is, got "192.0.2.1"',
  ]);
  assert.deepEqual(problems(gateway("2001:db8::2", "discovery: 192.52.193.1")), [
    'culvert.yaml:1:25 gateways.a.local: expected an IPv4 address, as discovery is, got "2001:db8::2"',
  ]);
  for (const wildcard of ["0.0.0.0", "[::]:4000"])
    for (const relay of ["relay: 192.0.2.1", 'discovery: "2001:3::1"'])
      accepted(gateway(wildcard, relay));
  accepted(gateway("2001:db8::2", 'relay: "2001:db8::1"'));
});

test("a gateway has an address for each family of its relays, at most", () => {
  const gateway = (local: string, relay: string) =>
    `gateways: { a: { local: [${local}], relay: [${relay}], tun: amt0 } }`;
  const both = '192.0.2.1, "2001:db8::1"';
  const [instance] = accepted(gateway('192.0.2.9, "2001:db8::9"', both)).instances;
  assert.ok(instance?.role === "gateway");
  assert.deepEqual(instance.config.relay, [
    { address: "192.0.2.1", port: 2268 },
    { address: "2001:db8::1", port: 2268 },
  ]);
  accepted(gateway("0.0.0.0", both));
  assert.deepEqual(problems(gateway("192.0.2.9", both)), [
    'culvert.yaml:1:25 gateways.a.local: expected an IPv6 address, as relay is, got "192.0.2.9"',
  ]);
  assert.match(problems(gateway("192.0.2.9, 192.0.2.8", "192.0.2.1"))[0]!, /one for each family/);
});

test("a gateway needs no relay: its sources' records, or anycast addresses, lead to one", () => {
  accepted("gateways: { a: { tun: amt0 } }");
  accepted("gateways: { a: { tun: amt0, dns: system } }");
  accepted("gateways: { a: { tun: amt0, dns: 192.0.2.53, relay: [192.0.2.1, 192.0.2.2] } }");
  assert.match(
    problems("gateways: { a: { tun: amt0, relay: [192.0.2.1, 192.0.2.1] } }")[0]!,
    /each one only once/,
  );
});

test("robustness is 2 and the query interval 125 s unless set, and robustness never 0 (RFC 3376 §8.1, §8.2)", () => {
  const [instance] = accepted("relays: { a: { local: 192.0.2.1, tun: amt0 } }").instances;
  assert.ok(instance?.role === "relay");
  assert.deepEqual([instance.config.robustness, instance.config.queryInterval], [2, 125_000]);
  const [refused] = problems("relays: { a: { local: 192.0.2.1, tun: amt0, robustness: 0 } }");
  assert.match(refused ?? "", /relays\.a\.robustness: expected .* from 1 to 7, got 0$/);
});

test("a short query interval lowers the default of the response interval (RFC 3376 §8.3)", () => {
  const { instances } = accepted(
    "relays: { a: { local: 192.0.2.1, tun: amt0, queryInterval: 5 } }",
  );
  const [instance] = instances;
  assert.ok(instance?.role === "relay");
  assert.equal(instance.config.queryResponseInterval, 2_500);
});

test("a file that is not YAML, or not a map, is told with its place", () => {
  assert.match(problems("relays: [")[0]!, /^culvert\.yaml:1:\d+: expected valid YAML, got /);
  assert.match(problems("a: 1\na: 2\n")[0]!, /^culvert\.yaml:2:1: expected valid YAML, got /);
  assert.deepEqual(problems(""), [
    "culvert.yaml:1:1: expected a map with relays or gateways or l2tp, got nothing",
  ]);
  assert.deepEqual(problems("relays: {}\n"), [
    "culvert.yaml:1:1: expected at least one of relays or gateways or l2tp, got none",
  ]);
  assert.deepEqual(problems("gateways: [a]\n"), [
    "culvert.yaml:1:11 gateways: expected a map from a name to a gateway's settings, got a list",
  ]);
});

test("names that would not read well in a status are refused at their key", () => {
  assert.deepEqual(problems('relays: { "a b": { local: 192.0.2.1, tun: amt0 } }'), [
    'culvert.yaml:1:11 relays.a b: expected a name of letters, digits, dots, hyphens and underscores, got "a b"',
  ]);
});

test("an error inside an alias points into what the alias stands for", () => {
  const text = `gateways:
  a: &base { local: 0.0.0.0, relay: 192.0.2.1, tun: 7 }
  b: *base
`;
  assert.deepEqual(
    problems(text).map((line) => line.split(":").slice(1, 3).join(":").split(" ")[0]),
    ["2:53", "2:53"],
  );
});

const keys = [
  "relays",
  "gateways",
  "control",
  "__proto__",
  "constructor",
  ...Object.values(SYSTEMS).flatMap((system) => Object.keys(system.fields)),
];

/** Values of any shape whose keys are often ours. */
const anyValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.constantFrom("192.0.2.1", "eth1", "", "amt://239.1.1.1:5000", "10.0.0.1/8", "-1", "1e9"),
      fc.string(),
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), tie("value"), { maxKeys: 5 }),
  ),
})).value;

/** Reads a text and proves that what came out is whole: a configuration, or placed problems. */
function isWhole(text: string): void {
  const config = readConfig(text, "f");
  if (!("problems" in config)) {
    assert.ok(config.instances.length > 0);
    return;
  }
  assert.ok(config.problems.length > 0);
  for (const problem of config.problems) {
    assert.ok(problem.line >= 1 && problem.column >= 1);
    assert.ok(problem.line <= text.split(/\r\n|\r|\n/).length);
    assert.match(problemText(problem), /^f:\d+:\d+[^]*: expected [^]+, got [^]+$/);
  }
}

test("any YAML value gives a configuration or a list of problems, never an exception", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      isWhole(stringify(value, { schema: "core" }));
      isWhole(stringify({ relays: { a: value }, gateways: { b: value } }, { schema: "core" }));
    }),
    { numRuns: 500 },
  );
});

test("any text gives a configuration or a list of problems, never an exception", () => {
  const scraps = fc.constantFrom(
    ..."relays: |gateways:|&a |*a|<<: |%YAML 1.1\n---\n|!!binary |!!set |- |? |: |{|}|[|]|\n|\n  |'|\"|#|,|2026-11-21"
      .split("|")
      .concat("|", "\u{feff}", "\0", "\t"),
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(scraps, fc.string()), { maxLength: 30 }), (parts) => {
      isWhole(parts.join(""));
    }),
    { numRuns: 1_000 },
  );
});

test("nesting past the stack and aliases that multiply are problems of the file", () => {
  isWhole("[".repeat(50_000));
  const rows = Array.from({ length: 12 }, (_, row) =>
    row === 0
      ? "a0: &a0 [x, x]"
      : `a${row}: &a${row} [${Array(9)
          .fill(`*a${row - 1}`)
          .join(", ")}]`,
  );
  isWhole(`${rows.join("\n")}\n`);
  isWhole("relays: &r { a: *r }\n");
});
