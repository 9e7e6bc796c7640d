import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig, problemText } from "../../src/config/file.ts";
import { readL2tpCommand, spellWord } from "../../src/config/l2tp-command.ts";
import { fitSession } from "../../src/config/l2tp-rules.ts";

const ENDS = "tid 1 ptid 2 local 192.0.2.1 remote 192.0.2.2";
const UDP = `${ENDS} udp_sport 1701 udp_dport 1701`;
const KEYED = "tid 1 ptid 2 mode keyed encap ip local fd00::1 remote fd00::2";

const read = (words: string) => readL2tpCommand(words.split(" "));

/** What is wrong with a session of a tunnel. */
function faults(tunnel: string, session: string): string[] {
  const command = read(`add tunnel ${tunnel}`);
  assert.ok(command.op === "add-tunnel");
  const settings = read(`add session tid 1 ${session}`);
  assert.ok(settings.op === "add-session");
  const checked = fitSession(command.tunnel, settings.session, spellWord);
  return "faults" in checked
    ? checked.faults.map(({ path, expected }) => `${spellWord(String(path[0]))}: ${expected}`)
    : [];
}

test("a tunnel of `ip l2tp` has its defaults", () => {
  const command = read(`add tunnel ${UDP}`);
  assert.ok(command.op === "add-tunnel");
  const { tunnelId, peerTunnelId, encap, udpCsum, udp6CsumTx, udp6CsumRx, version, tos, df } =
    command.tunnel;
  assert.deepEqual(
    [tunnelId, peerTunnelId, encap, udpCsum, udp6CsumTx, udp6CsumRx, version, tos, df],
    [1, 2, "udp", false, true, true, "3", 0, false],
  );
});

test("words that cannot be a command are told with what was expected and what came", () => {
  const rows: [string, RegExp][] = [
    ["ad tunnel", /expected one of add tunnel.*got "ad tunnel"; did you mean "add tunnel"/],
    [
      `add tunnel ${UDP} udp_port 1`,
      /expected a known word, got "udp_port"; did you mean udp_sport/,
    ],
    [`add tunnel ${UDP} mtu`, /mtu: expected a value behind it, got nothing/],
    [`add tunnel ${UDP} tunnel_id 2`, /tunnel_id: expected once, got it twice/],
    [
      `add tunnel ${ENDS}`,
      /udp_sport: expected a UDP port from 1 to 65535, got nothing; udp_dport/,
    ],
    [`add tunnel ${UDP} encap ip`, /udp_sport: expected none with encap ip, got 1701/],
    [`add tunnel ${UDP} version 2 tunnel_id 70000`, /tunnel_id: expected once/],
    ["add tunnel tid 0 ptid 2", /tunnel_id: expected a number from 1 to 4294967295, got "0"/],
    [`add tunnel ${KEYED} keepalive 5`, /keepalive: expected none: a keyed tunnel/],
    ["set session tid 1 sid 2", /expected at least one of cookie, peer_cookie/],
    ["show session sid 2", /session_id: expected tunnel_id beside it, got none/],
  ];
  for (const [words, expected] of rows)
    assert.throws(() => read(words), { message: expected }, words);
});

test("a session is refused for what its tunnel or pseudowire cannot have", () => {
  const rows: [string, string, RegExp | undefined][] = [
    [UDP, "sid 1 psid 2", undefined],
    [UDP, "sid 0x10 psid 2 seq both reorder_timeout 20", undefined],
    [UDP, "sid 1", /^peer_session_id: /],
    [UDP, "sid 1 psid 2 seq send l2spec_type none", /^l2spec_type: default or atm: seq needs/],
    [UDP, "sid 1 psid 2 reorder_timeout 20", /^reorder_timeout: 0, or seq recv or both/],
    [UDP, "sid 1 psid 2 l2spec_type atm", /^l2spec_type: default or none, as pwtype is not ATM/],
    [UDP, "sid 1 psid 2 pwtype aal5 frames /f l2spec_type none", /^l2spec_type: atm with/],
    [UDP, "sid 1 psid 2 pwtype aal5 frames /f", undefined],
    [UDP, "sid 1 psid 2 pwtype hdlc", /^pwtype: frames or pcap beside it/],
    [UDP, "sid 1 psid 2 name a frames /f", /^frames: one of name, trunk, frames, pcap/],
    [
      UDP,
      "sid 1 psid 2 peer_cookie 01020304 peer_cookie2 0102030405060708",
      /^peer_cookie2: as many/,
    ],
    [UDP, "sid 1 psid 2 trunk t0 vlan 5", /^trunk: pwtype vlan beside it/],
    [`${UDP} version 2`, "sid 1 psid 2 frames /f", undefined],
    [`${UDP} version 2`, "sid 1 psid 2 frames /f cookie 01020304", /^cookie: none: version 2/],
    [`${UDP} version 2`, "sid 65536 psid 2 frames /f", /^session_id: at most 65535/],
    [KEYED, "cookie 0102030405060708 peer_cookie 0102030405060708", undefined],
    [KEYED, "cookie 01020304 peer_cookie 0102030405060708", /^cookie: 16 hexadecimal digits/],
  ];
  for (const [tunnel, session, expected] of rows) {
    const found = faults(tunnel, session).join("\n");
    if (expected) assert.match(found, expected, session);
    else assert.equal(found, "", session);
  }
});

test("a file says the same with keys, and its faults have their places", () => {
  const text = (session: string) => `l2tp:
  lanes: 2
  tunnels:
    wire:
      { tunnelId: 1, peerTunnelId: 2, local: 192.0.2.1, remote: 192.0.2.2, udpSport: 1701, udpDport: 1701,
        sessions: [${session}] }
`;
  const good = readConfig(
    text('{ sessionId: 10, peerSessionId: 20, cookie: "00000001" }'),
    "c.yaml",
  );
  assert.ok("instances" in good, JSON.stringify(good));
  const [instance] = good.instances;
  assert.ok(instance?.role === "l2tp");
  assert.equal(instance.config.lanes, 2);
  assert.deepEqual(instance.config.tunnels[0]?.sessions[0]?.cookie, Uint8Array.of(0, 0, 0, 1));
  const bad = readConfig(text("{ sessionId: 10, peerSessionId: 20, cookie: 00000001 }"), "c.yaml");
  assert.ok("problems" in bad);
  assert.match(
    problemText(bad.problems[0]!),
    /^c\.yaml:6:\d+ l2tp\.tunnels\.wire\.sessions\.0\.cookie: expected 8 or 16 .* in quotes .*, got 1$/,
  );
});
