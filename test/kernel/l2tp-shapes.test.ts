/** Every kind of L2TP packet between two daemons, through the real kernel, judged by tshark. */
import assert from "node:assert/strict";
import path from "node:path";
import { connectFrames } from "../../src/os/frame-server.ts";
import { bind, close, recv, send, socket, SOCK_RAW } from "../../src/os/libc.ts";
import { readLink } from "../../src/os/link.ts";
import { inNetns } from "../../src/os/netns.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import { askStatus } from "../../src/runtime/control.ts";
import { Capture, Judge } from "./capture.ts";
import { eventually } from "./culvert.ts";
import { answers, INSIDE, Pair, UNDERLAY, UNDERLAY_6 } from "./l2tp-pair.ts";
import { kernelTest } from "./needs.ts";

const TOOLS = ["dumpcap", "tshark", "ethtool"] as const;
const PATIENCE_MS = 30_000;
const AF_PACKET = 17;

/** An ICMP echo request from 192.0.2.1 to 192.0.2.2, `payload` octets long after its header. */
function datagram(payload: number): Buffer {
  const packet = Buffer.alloc(28 + payload, 0x55);
  packet.set([
    0x45, 0, 0, 0, 0, 1, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 8, 0, 0, 0, 0, 1,
  ]);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(1, 26);
  packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
  packet.writeUInt16BE(checksum(packet.subarray(20)), 22);
  return packet;
}

function checksum(octets: Buffer): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) sum += (octets[i]! << 8) | (octets[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const ETHERNET = Buffer.from("0200000000020200000000010800", "hex");
const TAGGED = Buffer.from("020000000002020000000001810000640800", "hex");
const CELL = Buffer.concat([Buffer.from("00000640", "hex"), Buffer.alloc(48, 0x6a)]);

/** A frame of each pseudowire, and the dissector that is to judge it. */
const FRAMES: Readonly<Record<string, { frame: Buffer; judge: string; words?: string }>> = {
  eth: { frame: Buffer.concat([ETHERNET, datagram(64)]), judge: "eth" },
  vlan: { frame: Buffer.concat([TAGGED, datagram(64)]), judge: "eth" },
  hdlc: { frame: Buffer.concat([Buffer.from("0f000800", "hex"), datagram(64)]), judge: "chdlc" },
  fr: { frame: Buffer.concat([Buffer.from("184103cc", "hex"), datagram(64)]), judge: "fr" },
  ppp: { frame: Buffer.concat([Buffer.from("ff030021", "hex"), datagram(64)]), judge: "ppp" },
  ip: { frame: datagram(64), judge: "ip" },
  "atm-port": { frame: CELL, judge: "data" },
  "atm-vcc": { frame: Buffer.concat([CELL, CELL]), judge: "data" },
  "atm-vpc": { frame: CELL, judge: "data" },
  aal5: {
    frame: Buffer.concat([Buffer.from("02000000", "hex"), Buffer.alloc(96, 0x6b)]),
    judge: "data",
    words: "l2spec_type atm",
  },
};

/** Sessions 1, 2, ... of a tunnel, each from a socket of frames to another. */
class FramePorts {
  readonly #room = new Uint8Array(70_000);
  constructor(
    readonly pair: Pair,
    readonly folder: string,
  ) {}

  async tunnel(ends: readonly [string, string], words: string): Promise<void> {
    for (const i of [0, 1] as const)
      await this.pair.l2tp(
        i,
        `add tunnel tid 1 ptid 1 local ${ends[i]} remote ${ends[1 - i]!} ${words}`,
      );
  }

  async session(id: number, words: readonly [string, string]): Promise<void> {
    for (const i of [0, 1] as const)
      await this.pair.l2tp(
        i,
        `add session tid 1 ${words[i]} frames ${path.join(this.folder, `${id}-${i}`)}`,
      );
  }

  /** Sends a frame both ways through session `id`, and wants it unchanged. */
  async carries(id: number, frame: Uint8Array, times = 3): Promise<void> {
    const fds = [0, 1].map((i) => connectFrames(path.join(this.folder, `${id}-${i}`)));
    try {
      for (const [from, to] of [fds, fds.toReversed()] as [number, number][])
        for (let i = 0; i < times; i++) {
          let got = 0;
          let tries = 0;
          await eventually(`a frame through session ${id}`, PATIENCE_MS, () => {
            // The other end's lane may not know its program yet.
            if (tries++ % 20 === 0) assert.equal(send(from, frame), frame.length);
            got = recv(to, this.#room);
            return got > 0;
          });
          assert.deepEqual(this.#room.slice(0, got), new Uint8Array(frame));
        }
    } finally {
      fds.forEach(close);
    }
  }
}

async function begin(lab: Lab): Promise<{ pair: Pair; ports: FramePorts; capture: Capture }> {
  const pair = await Pair.start(lab);
  for (const host of pair.hosts) host.withoutOffload("eth0");
  const filter = "udp port 1701 or proto 115 or ip6 proto 115";
  const capture = await Capture.start(lab, pair.hosts[1], "eth0", filter);
  return { pair, ports: new FramePorts(pair, lab.folder), capture };
}

/** tshark's settings for sessions that no control message has told it of. */
function dissected(sublayer: string, cookie: string, judge?: string): string[] {
  return [
    ...["-o", `l2tp.l2_specific:${sublayer}`, "-o", `l2tp.cookie_size:${cookie}`],
    ...(judge === undefined || judge === "data" ? [] : ["-d", `l2tp.pw_type==0,${judge}`]),
  ];
}

for (const encap of ["udp", "ip"] as const)
  kernelTest(
    `every pseudowire of version 3 carries its frames, over ${encap} (RFC 3931 §4.1)`,
    TOOLS,
    async (lab) => {
      const { ports, capture } = await begin(lab);
      const udp = encap === "udp" ? "udp_sport 1701 udp_dport 1701 udp_csum on" : "";
      await ports.tunnel(UNDERLAY, `encap ${encap} ${udp}`);
      const shapes = Object.entries(FRAMES);
      for (const [index, [pwtype, { frame, words = "" }]] of shapes.entries()) {
        const id = index + 1;
        const session = `sid ${id} psid ${id} pwtype ${pwtype} ${words} cookie 0a0b0c0d peer_cookie 0a0b0c0d seq both`;
        await ports.session(id, [session, session]);
        await ports.carries(id, frame);
      }
      await capture.stop();
      for (const [index, [pwtype, { judge }]] of shapes.entries()) {
        const among = `l2tp.sid == ${index + 1}`;
        const sublayer = pwtype === "aal5" ? "ATM-Specific" : "Default L2-Specific";
        const settings = dissected(sublayer, "4 Byte Cookie", judge);
        assert.deepEqual(capture.faults(among, settings), [], pwtype);
        const cookies = new Set(capture.values("l2tp.cookie", among, settings));
        assert.deepEqual([...cookies], ["0a0b0c0d"], pwtype);
        if (judge !== "data" && judge !== "ip")
          assert.ok(
            capture.values("ip.src", `${among} && ip.src == 192.0.2.1`, settings).length >= 6,
            `${pwtype}: ${judge} shows what is inside`,
          );
      }
    },
  );

kernelTest(
  "version 2 carries PPP with every option of its header (RFC 2661 §3.1)",
  TOOLS,
  async (lab) => {
    const { ports, capture } = await begin(lab);
    await ports.tunnel(UNDERLAY, "version 2 encap udp udp_sport 1701 udp_dport 1701 udp_csum on");
    const { frame } = FRAMES["ppp"]!;
    const words = [
      ["", ""],
      ["seq send", ""],
      ["seq both lns on", "seq none"],
      ["offset 4", "offset 30"],
      ["seq both lns on reorder_timeout 20 offset 2", "seq both"],
    ] as const;
    for (const [index, [one, other]] of words.entries()) {
      const id = index + 1;
      const session = `sid ${id} psid ${id}`;
      await ports.session(id, [`${session} ${one}`, `${session} ${other}`]);
      await ports.carries(id, frame);
    }
    await capture.stop();
    assert.deepEqual(capture.faults("l2tp"), []);
    assert.ok(capture.values("ppp.protocol", "l2tp && ppp").length >= 6 * words.length);
    const numbered = (id: number) => capture.values("l2tp.Ns", `l2tp.session == ${id} && l2tp.Ns`);
    assert.equal(numbered(1).length, 0);
    assert.ok(numbered(2).length >= 3);
    const sixth = new Set(capture.values("l2tp.offset", "l2tp.session == 4"));
    assert.deepEqual([...sixth].sort(), ["30", "4"]);
  },
);

kernelTest(
  "a keyed tunnel carries frames, known by its addresses alone (RFC 8159)",
  TOOLS,
  async (lab) => {
    const { ports, capture } = await begin(lab);
    await ports.tunnel(UNDERLAY_6, "mode keyed encap ip");
    const cookies = ["0102030405060708", "1112131415161718"];
    const words = (i: 0 | 1) => `cookie ${cookies[i]} peer_cookie ${cookies[1 - i]}`;
    await ports.session(1, [words(0), words(1)]);
    await ports.carries(1, FRAMES["eth"]!.frame);
    await capture.stop();
    const settings = dissected("None", "8 Byte Cookie", "eth");
    assert.deepEqual(capture.faults("l2tp", settings), []);
    assert.deepEqual([...new Set(capture.values("l2tp.sid", "l2tp", settings))], ["0xffffffff"]);
  },
);

kernelTest(
  "a trunk carries VLANs to sessions, and gives frames its own identifiers (RFC 4719 §3)",
  TOOLS,
  async (lab) => {
    const { pair, ports } = await begin(lab);
    await ports.tunnel(UNDERLAY, "udp_sport 1701 udp_dport 1701");
    const clients: number[] = [];
    for (const n of [1, 2]) {
      const session = `add session tid 1 sid ${n} psid ${n} pwtype vlan`;
      const file = path.join(lab.folder, `${n}`);
      await pair.l2tp(0, `${session} trunk trunk0 vlan ${100 + n}`);
      await pair.l2tp(1, `${session} frames ${file}`);
      clients.push(connectFrames(file));
    }
    const [host] = pair.hosts;
    host.up("trunk0");
    const capture = await Capture.start(lab, host, "trunk0", "ether src 02:00:00:00:00:02");
    const trunk = openTap(host, "trunk0");
    const room = new Uint8Array(2_000);
    // What the trunk is given goes to the session of its tag, as it is; another tag goes nowhere.
    for (const vlan of [103, 102, 101]) assert.ok(send(trunk, tagged(vlan)) > 0);
    for (const n of [1, 2]) {
      const came = () => frameFrom(clients[n - 1]!, room, "00005e000001");
      await eventually(`a frame of VLAN ${100 + n}`, PATIENCE_MS, () => came() === 100 + n);
    }
    // What a session is given comes out of the trunk with the session's tag.
    for (const client of clients) assert.ok(send(client, tagged(7, "020000000002")) > 0);
    await pair.l2tp(0, "show session");
    await eventually("both at the trunk", PATIENCE_MS, async () => {
      const { rx } = (await pair.session(0)).statistics;
      return rx.packets >= 1 && host.counter("trunk0", "rx_packets") >= 2;
    });
    await capture.stop();
    assert.deepEqual(capture.values("vlan.id", "vlan").sort(), ["101", "102"]);
    for (const fd of [trunk, ...clients]) close(fd);
    await pair.l2tp(0, "del session tid 1 sid 1");
    host.ip("link", "show", "trunk0");
    await pair.l2tp(0, "del session tid 1 sid 2");
    assert.throws(() => host.ip("link", "show", "trunk0"), /does not exist/);
    const refused = await pair.tryL2tp(0, "add session tid 1 sid 3 psid 3 trunk trunk0 vlan 5");
    assert.match(refused.stderr, /trunk: expected pwtype vlan beside it/);
  },
);

kernelTest("an IP pseudowire is a TUN, and a capture takes what arrives", TOOLS, async (lab) => {
  const pair = await Pair.start(lab);
  const file = path.join(lab.folder, "came.pcapng");
  await pair.connect("encap udp", "pwtype ip", UNDERLAY);
  assert.match(pair.hosts[0].ip("-d", "link", "show", "l2tpeth0"), /tun type tun/);
  await pair.reaches();
  await pair.reaches(pair.hosts[0], 1300);
  await pair.l2tp(0, "add session tid 1 sid 20 psid 20 pwtype ip name tun1");
  await pair.l2tp(1, `add session tid 2 sid 20 psid 20 pwtype ip pcap ${file}`);
  pair.hosts[0].address("tun1", "192.168.20.1/24");
  pair.hosts[0].up("tun1");
  ping(pair.hosts[0], "192.168.20.2");
  const judge = new Judge(file);
  await pair.l2tp(1, "del session tid 2 sid 20");
  assert.deepEqual(judge.faults(), []);
  assert.deepEqual(judge.values("icmp.type", "icmp && ip.dst == 192.168.20.2"), ["8"]);
});

for (const encap of ["udp udp_csum on", "ip"])
  kernelTest(
    `the outer header bears tos, ttl, ecn and df as asked for: ${encap}`,
    TOOLS,
    async (lab) => {
      const pair = await Pair.start(lab);
      for (const host of pair.hosts) host.withoutOffload("eth0");
      const filter = "udp portrange 5000-5001 or proto 115";
      const capture = await Capture.start(lab, pair.hosts[1], "eth0", filter);
      await pair.connect(`encap ${encap} tos inherit ttl 33 ecn on df on`, "seq send", UNDERLAY);
      await pair.reaches();
      // DSCP 46 and ECN 2.
      await eventually("a marked echo", PATIENCE_MS, () =>
        ping(pair.hosts[0], INSIDE[1], "-Q", "0xba"),
      );
      assert.equal(answers(pair.hosts[0], 1400), true);
      await capture.stop();
      const outer = (field: string) =>
        new Set(capture.values(field, "udp || ip.proto == 115").map((all) => all.split(",")[0]));
      assert.deepEqual([...outer("ip.ttl")], ["33"]);
      assert.deepEqual(
        [...outer("ip.flags.df")].map((df) => df === "1" || df === "True"),
        [true],
      );
      assert.ok(outer("ip.dsfield").has("0xba"), [...outer("ip.dsfield")].join(" "));
    },
  );

for (const [encap, ends] of [
  ["udp udp_csum on", UNDERLAY],
  ["ip", UNDERLAY],
  ["ip", UNDERLAY_6],
] as const)
  kernelTest(
    `congestion on the way shows in the packet inside, or drops what cannot show it: ${encap} over ${ends[0]} (RFC 6040 §4.2)`,
    TOOLS,
    async (lab) => {
      const pair = await Pair.start(lab);
      // Outer headers leave as if a router on the way had marked each of them.
      await pair.connect(`encap ${encap} tos 3`, "", ends);
      const [host, peer] = pair.hosts;
      await eventually("an echo", PATIENCE_MS, () => ping(host, INSIDE[1], "-Q", "0x02"));
      const capture = await Capture.start(lab, peer, "l2tpeth0", "icmp[icmptype] = icmp-echo");
      for (const field of ["0x02", "0x01", "0x03"])
        assert.ok(ping(host, INSIDE[1], "-Q", field), field);
      assert.ok(!ping(host, INSIDE[1], "-Q", "0x00"), "it is not ECN-capable");
      await capture.stop();
      assert.deepEqual(capture.values("ip.dsfield", "icmp"), ["0x03", "0x03", "0x03"]);
      const { services } = await askStatus(pair.daemons[1].control);
      assert.ok((services[0]!.drops["socket"]?.ecn ?? 0) >= 1, JSON.stringify(services[0]!.drops));
    },
  );

/** A datagram in a frame with this tag. */
function tagged(vlan: number, source = "00005e000001"): Buffer {
  const frame = Buffer.concat([TAGGED, datagram(64)]);
  frame.set(Buffer.from(source, "hex"), 6);
  frame.writeUInt16BE(vlan, 14);
  return frame;
}

/** The VLAN of the next frame of this source that waits at a socket of frames. */
function frameFrom(fd: number, room: Uint8Array, source: string): number | undefined {
  for (;;) {
    const got = recv(fd, room);
    if (got <= 0) return undefined;
    const frame = Buffer.from(room.subarray(0, got));
    if (frame.toString("hex", 6, 12) === source) return frame.readUInt16BE(14);
  }
}

/** A packet socket over a host's device (packet(7)). */
function openTap(host: Namespace, device: string): number {
  const name = new Uint8Array(20);
  const view = new DataView(name.buffer);
  return inNetns(host.name, () => {
    const fd = socket(AF_PACKET, SOCK_RAW, 0, device);
    view.setUint16(0, AF_PACKET, true);
    view.setInt32(4, readLink(device).index, true);
    bind(fd, name, device);
    return fd;
  });
}

function ping(host: Namespace, address: string, ...words: string[]): boolean {
  try {
    host.run("ping", "-c", "1", "-W", "1", ...words, address);
    return true;
  } catch {
    return false;
  }
}
