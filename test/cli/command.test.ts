import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Host } from "./command.ts";

const RELAY = ["relay", "--local", "192.0.2.1", "--ingress", "eth1"];

test("a relay says it is ready, and ends in order with code 0 on SIGTERM and SIGINT", async (t) => {
  const host = new Host(t);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const { child, line, ended } = await host.serving(RELAY);
    const control = path.join(host.folder, "run", `relay-${child.pid}.sock`);
    assert.equal(line, `ready: relay at 192.0.2.1:2268, ingress eth1; control ${control}`);
    assert.ok(existsSync(control));
    child.kill(signal);
    const { code, stderr } = await ended;
    assert.equal(code, 0);
    assert.match(stderr, /^stopped relay$/m);
    assert.deepEqual(readdirSync(path.join(host.folder, "run")), []);
  }
});

test("run starts everything in the file and stops all of it", async (t) => {
  const host = new Host(t);
  writeFileSync(
    path.join(host.folder, "culvert.yaml"),
    `relays: { north: { local: 192.0.2.1, tun: amt0 } }
gateways: { home: { local: 0.0.0.0, relay: 192.0.2.1, tun: culvert0 } }
control: ${host.folder}/c.sock
`,
  );
  const { child, line, ended } = await host.serving(["run", "-c", "culvert.yaml"]);
  assert.equal(
    line,
    "ready: relay north at 192.0.2.1:2268, tun amt0;" +
      " gateway home at 0.0.0.0:0, relay 192.0.2.1:2268, tun culvert0;" +
      ` control ${host.folder}/c.sock`,
  );
  child.kill("SIGTERM");
  const { code, stderr } = await ended;
  assert.equal(code, 0);
  assert.match(stderr, /^stopped north$/m);
  assert.match(stderr, /^stopped home$/m);
  assert.equal(existsSync(`${host.folder}/c.sock`), false);
});

test("a second signal ends a command at once whose services do not stop", async (t) => {
  const host = new Host(t);
  const { child, ended } = await host.serving(RELAY, "hangs");
  child.kill("SIGTERM");
  // Until the first has arrived a second would be merged with it.
  const { code: shown } = await host.run(["status"]);
  assert.equal(shown, 0);
  child.kill("SIGTERM");
  const { code } = await ended;
  assert.equal(code, 1);
  assert.deepEqual(readdirSync(path.join(host.folder, "run")), []);
});

test("a service that ends by itself ends its command with code 0", async (t) => {
  const host = new Host(t);
  const { code } = await host.run(
    ["receive", "amt://192.0.2.9@232.1.1.1:5000", "--relay", "192.0.2.1"],
    "ends",
  );
  assert.equal(code, 0);
});

test("a service that fails ends its command with code 1 and its reason", async (t) => {
  const host = new Host(t);
  const { code, stderr } = await host.run(RELAY, "fails");
  assert.equal(code, 1);
  assert.match(stderr, /^culvert: recvmmsg eth1: ENETDOWN \(network is down\); set it up$/m);
  assert.deepEqual(readdirSync(path.join(host.folder, "run")), []);
});

test("what is not permitted ends with code 4 and leaves no socket", async (t) => {
  const host = new Host(t);
  const { code, stderr } = await host.run(RELAY, "denied");
  assert.equal(code, 4);
  assert.equal(stderr, "culvert: socket AF_PACKET: EPERM (operation not permitted); run as root\n");
  assert.deepEqual(readdirSync(path.join(host.folder, "run")), []);
});

test("wrong usage ends with code 2 and one clear line for each mistake", async (t) => {
  const host = new Host(t);
  const cases: [string[], RegExp][] = [
    [[], /^Usage: culvert /],
    [
      ["relais"],
      /^culvert: unknown command 'relais' \(Did you mean relay\?\); see 'culvert --help'\n$/,
    ],
    [
      ["relay", "--ingres", "eth1"],
      /^culvert: unknown option '--ingres' \(Did you mean --ingress\?\); see 'culvert relay --help'\n$/,
    ],
    [
      ["gateway", "--local", "x", "--relay", "192.0.2.1", "--discovery", "192.0.2.1"],
      /^culvert: --local: expected .*, got "x"\nculvert: expected at least one of --tun, --tap, --downstream, got none\nculvert: --discovery: expected at most one of --relay and --discovery, got .*\nculvert: see 'culvert gateway --help'\n$/,
    ],
    [["receive", "239.1.1.1:5000", "--relay", "192.0.2.1"], /^culvert: URL: expected amt:\/\//],
    [["receive"], /^culvert: URL: expected amt:.*, got nothing/],
    [
      ["receive", "--dns", "amt://192.0.2.7@232.1.1.1:5000"],
      /^culvert: URL: expected amt:.*, got nothing\nculvert: --dns: expected .*, got "amt:/,
    ],
    [
      ["l2tp", "add", "tunel"],
      /^culvert: expected one of add tunnel, .*; did you mean "add tunnel"/,
    ],
    [["l2tp", "del", "tunnel", "tid", "0"], /^culvert: tunnel_id: expected a number from 1 to 429/],
    [["run", "-c", "absent.yaml"], /^culvert: cannot read the configuration: ENOENT/],
    [["status", "--control", ""], /^culvert: --control: expected a path/],
  ];
  for (const [args, expected] of cases) {
    const { code, stdout, stderr } = await host.run(args);
    assert.match(stderr, expected);
    assert.equal(stdout, "");
    assert.equal(code, 2, args.join(" "));
  }
});

test("a wrong file ends with code 2 and lists its problems, also from standard input", async (t) => {
  const host = new Host(t);
  const { code, stderr } = await host.run(["run", "-c", "-"], "", {
    input: "relays:\n  a: { local: 192.0.2.1, ingres: eth1 }\n",
  });
  assert.equal(code, 2);
  assert.equal(
    stderr,
    "stdin:2:3 relays.a: expected exactly one of ingress and tun, got none\n" +
      'stdin:2:26 relays.a.ingres: expected a known key, got "ingres"; did you mean "ingress"?\n',
  );
});

test("every command's help ends with code 0 and shows an example", async (t) => {
  const host = new Host(t);
  for (const command of ["run", "relay", "gateway", "receive", "status", "doctor"]) {
    const { code, stdout } = await host.run([command, "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`\nExample:\n  culvert ${command}\\b`));
    const help = await host.run(["help", command]);
    assert.equal(help.stdout, stdout);
  }
});

test("help about all commands shows how a relay is started", async (t) => {
  const { code, stdout } = await new Host(t).run(["--help"]);
  assert.equal(code, 0);
  assert.match(stdout, /\nExample:\n {2}culvert relay --local 192\.0\.2\.1 --ingress eth1\n$/);
});

test("help speaks of other settings by their flags", async (t) => {
  const { stdout } = await new Host(t).run(["relay", "--help"]);
  assert.match(stdout, /95 % of\s+--max-tunnels if left out/);
  assert.match(stdout, /as when --local is\s+anycast/);
  assert.doesNotMatch(stdout, /maxTunnels|denySources/);
});

test("a reader of help who goes away ends it quietly", async (t) => {
  const { child, ended } = new Host(t).start(["help", "relay"]);
  child.stdout!.destroy();
  const { code, stderr } = await ended;
  assert.deepEqual([code, stderr], [0, ""]);
});

test("an endpoint of the wrong family is named", async (t) => {
  const ends = ["--local", "2001:db8::5", "--relay", "192.0.2.1", "--tun", "culvert0"];
  const { stderr } = await new Host(t).run(["gateway", ...ends]);
  assert.match(stderr, /--local: expected an IPv4 address, as --relay is, got "2001:db8::5"\n/);
});

test("doctor lists what it found and fails if anything does", async (t) => {
  const host = new Host(t);
  const sick = await host.run(["doctor"]);
  assert.equal(sick.code, 1);
  assert.match(sick.stdout, /^fail +tun +\/dev\/net\/tun is absent\n +mend: modprobe tun$/m);
  const json = await host.run(["doctor", "--json"]);
  assert.equal((JSON.parse(json.stdout) as { name: string }[])[1]?.name, "tun");
  assert.equal((await host.run(["doctor"], "healthy")).code, 0);
});

for (const name of ["demo", "bench"])
  test(`${name} gets all its arguments and gives its exit code`, async (t) => {
    const host = new Host(t);
    assert.equal((await host.run([name, "--help"])).code, 1);
    assert.equal((await host.run([name, "--rate", "5"])).code, 2);
    assert.equal((await host.run([name])).code, 0);
  });
