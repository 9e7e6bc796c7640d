import assert from "node:assert/strict";
import { test } from "node:test";
import { readL2tpCommand, spellWord } from "../../../src/config/l2tp-command.ts";
import type { L2tpTunnelConfig } from "../../../src/config/l2tp.ts";
import { fitSession } from "../../../src/config/l2tp-rules.ts";
import { deviceMtu } from "../../../src/protocols/l2tp/overhead.ts";
import { L2tpRefusal, L2tpRegistry } from "../../../src/protocols/l2tp/registry.ts";
import { sessionSettings, tunnelSettings } from "../../../src/runtime/l2tp-settings.ts";

const UDP = "local 192.0.2.1 remote 192.0.2.2 udp_sport 1701 udp_dport 1701";

function tunnel(words: string): L2tpTunnelConfig {
  const command = readL2tpCommand(["add", "tunnel", ...words.split(" ")]);
  assert.ok(command.op === "add-tunnel");
  return command.tunnel;
}

function session(of: L2tpTunnelConfig, words: string) {
  const command = readL2tpCommand(
    `add session tunnel_id ${of.tunnelId} ${words}`.trim().split(" "),
  );
  assert.ok(command.op === "add-session");
  const checked = fitSession(of, command.session, spellWord);
  assert.ok("value" in checked, JSON.stringify(checked));
  return sessionSettings(of, checked.value);
}

test("a device's MTU is what the headers leave of 1500 octets, as the Linux driver has it", () => {
  const rows: [string, string, readonly [number, number, number]][] = [
    [UDP, "default", [1446, 1442, 1438]],
    [UDP, "none", [1450, 1446, 1442]],
    ["encap ip local 192.0.2.1 remote 192.0.2.2", "default", [1458, 1454, 1450]],
    ["encap ip local 192.0.2.1 remote 192.0.2.2", "none", [1462, 1458, 1454]],
    ["local fd00::1 remote fd00::2 udp_sport 1 udp_dport 1", "default", [1426, 1422, 1418]],
    ["local fd00::1 remote fd00::2 udp_sport 1 udp_dport 1", "none", [1430, 1426, 1422]],
    ["encap ip local fd00::1 remote fd00::2", "default", [1438, 1434, 1430]],
    ["encap ip local fd00::1 remote fd00::2", "none", [1442, 1438, 1434]],
  ];
  for (const [ends, sublayer, expected] of rows) {
    const config = tunnel(`tid 1 ptid 2 ${ends}`);
    const mtus = ["", "cookie 01020304", "cookie 0102030405060708"].map((cookie) =>
      deviceMtu(
        1500,
        tunnelSettings(config),
        session(config, `sid 1 psid 2 l2spec_type ${sublayer} ${cookie}`.trim()),
      ),
    );
    assert.deepEqual(mtus, expected, `${ends} ${sublayer}`);
  }
});

test("tunnels of one endpoint share its socket, which goes with the last of them", () => {
  const registry = new L2tpRegistry(1);
  const one = registry.addTunnel(tunnelSettings(tunnel(`tid 1 ptid 2 ${UDP}`)));
  const other = registry.addTunnel(tunnelSettings(tunnel(`tid 2 ptid 2 ${UDP}`)));
  assert.deepEqual([one.opens, other.opens], [true, false]);
  assert.equal(one.tunnel.socket, other.tunnel.socket);
  const unlike = tunnelSettings(tunnel(`tid 3 ptid 2 ${UDP} udp_csum on`));
  assert.throws(
    () => registry.addTunnel(unlike),
    /udp_csum: expected off, as other tunnels .*, got on/,
  );
  assert.equal(registry.removeTunnel(one.tunnel), false);
  assert.equal(registry.removeTunnel(other.tunnel), true);
});

test("what exists cannot be added, what does not exist cannot be used", () => {
  const registry = new L2tpRegistry(1);
  const config = tunnel(`tid 1 ptid 2 ${UDP}`);
  registry.addTunnel(tunnelSettings(config));
  registry.addTunnel(tunnelSettings(tunnel(`tid 2 ptid 2 ${UDP}`)));
  const refused = (body: () => unknown, errno: string) =>
    assert.throws(body, (error) => error instanceof L2tpRefusal && error.errno === errno);
  refused(() => registry.addTunnel(tunnelSettings(config)), "EEXIST");
  const { session: first } = registry.addSession(1, session(config, "sid 1 psid 2 name l0"));
  refused(() => registry.addSession(1, session(config, "sid 1 psid 2 name l1")), "EEXIST");
  refused(() => registry.addSession(2, session(config, "sid 1 psid 2 name l1")), "EEXIST");
  refused(() => registry.addSession(1, session(config, "sid 2 psid 2 name l0")), "EEXIST");
  refused(() => registry.addSession(3, session(config, "sid 2 psid 2")), "ENOENT");
  refused(() => registry.session(1, 2), "ENOENT");
  registry.removeSession(first);
  registry.addSession(1, session(config, "sid 1 psid 2 name l0"));
});

test("a session is named by its number, the only one of a keyed tunnel also without", () => {
  const registry = new L2tpRegistry(1);
  const config = tunnel(`tid 1 ptid 2 ${UDP}`);
  registry.addTunnel(tunnelSettings(config));
  registry.addSession(1, session(config, "sid 1 psid 2 name l0"));
  const keyed = tunnel("tid 2 ptid 2 mode keyed encap ip local fd00::1 remote fd00::2");
  registry.addTunnel(tunnelSettings(keyed));
  const named = (words: string) => {
    const command = readL2tpCommand(words.split(" "));
    assert.ok(command.op === "delete-session");
    return registry.session(command.tunnelId, command.sessionId);
  };
  assert.throws(() => named("del session tid 1"), {
    message: "session_id: expected a session of tunnel 1, got nothing",
    errno: "EINVAL",
  });
  assert.throws(() => named("del session tid 2"), {
    message: "session_id: expected a session of tunnel 2, which has none",
    errno: "ENOENT",
  });
  const cookies = "cookie 0102030405060708 peer_cookie 0102030405060708";
  const { session: only } = registry.addSession(2, session(keyed, cookies));
  assert.equal(named("del session tid 2"), only);
});

test("sessions of a trunk share its port, each with a VLAN of its own", () => {
  const registry = new L2tpRegistry(1);
  const config = tunnel(`tid 1 ptid 2 ${UDP}`);
  registry.addTunnel(tunnelSettings(config));
  const on = (id: number, vlan: number) =>
    session(config, `sid ${id} psid ${id} pwtype vlan trunk t0 vlan ${vlan}`);
  const one = registry.addSession(1, on(1, 100));
  const other = registry.addSession(1, on(2, 200));
  assert.deepEqual([one.opens, other.opens], [true, false]);
  assert.equal(one.session.place, other.session.place);
  assert.throws(
    () => registry.addSession(1, on(3, 200)),
    /vlan: expected one that is free on trunk t0/,
  );
  assert.equal(registry.removeSession(one.session).closes, false);
  assert.equal(registry.removeSession(other.session).closes, true);
});
