/**
 * qemu's own L2TPv3, which shares no code with Linux's: it joins a socket of frames to a tunnel, with
 * cookies and a counter in the place of the sublayer, and no guest behind it.
 *
 *     frames (UDP on lo) ── qemu 192.0.2.2 ──── 192.0.2.1 culvert ── TAP 10.9.0.1
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Daemon, startCulvert } from "../../src/demo/daemon.ts";
import { findTool } from "../../src/lab/tool.ts";
import { kernelTest } from "./needs.ts";

const FRAMES = fileURLToPath(new URL("programs/frames.js", import.meta.url));
const PATIENCE_MS = 60_000;
const SIZES = [0, 56, 1_000, 1_372];
const CULVERT = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;
const QEMU = { 4: "192.0.2.2", 6: "2001:db8::2" } as const;

/** The cookies that each end sends, by their length. */
const OURS = { 0: "", 4: "a1a2a3a4", 8: "a1a2a3a4a5a6a7a8" } as const;
const THEIRS = { 0: "", 4: "b1b2b3b4", 8: "b1b2b3b4b5b6b7b8" } as const;

interface Shape {
  readonly encap: "udp" | "ip";
  readonly family: 4 | 6;
  readonly cookie: 0 | 4 | 8;
  readonly counter: boolean;
}

const SHAPES: readonly Shape[] = [
  { encap: "udp", family: 4, cookie: 8, counter: true },
  { encap: "udp", family: 6, cookie: 4, counter: true },
  { encap: "ip", family: 4, cookie: 4, counter: false },
  { encap: "ip", family: 6, cookie: 8, counter: true },
  { encap: "udp", family: 4, cookie: 0, counter: false },
];

/** qemu's words for its end: it sends what we expect. */
function qemuWords({ encap, family, cookie, counter }: Shape): string[] {
  const l2tp = [
    `l2tpv3,id=tunnel,src=${QEMU[family]},dst=${CULVERT[family]},rxsession=2,txsession=1`,
    ...(family === 6 ? ["ipv6=on"] : []),
    ...(encap === "udp" ? ["udp=on,srcport=6001,dstport=5001"] : []),
    ...(cookie > 0 ? [`txcookie=0x${THEIRS[cookie]},rxcookie=0x${OURS[cookie]}`] : []),
    ...(cookie === 8 ? ["cookie64=on"] : []),
    ...(counter ? ["counter=on"] : []),
  ].join(",");
  const inet = (end: string, port: number) =>
    `${end}.type=inet,${end}.host=127.0.0.1,${end}.port=${port}`;
  return [
    ...["-machine", "none", "-nodefaults", "-display", "none", "-netdev", l2tp],
    ...["-netdev", `dgram,id=frames,${inet("local", 7000)},${inet("remote", 7001)}`],
    ...["-netdev", "hubport,id=a,hubid=0,netdev=tunnel"],
    ...["-netdev", "hubport,id=b,hubid=0,netdev=frames"],
  ];
}

/** Ours: qemu's counter stands where the default sublayer does. */
function culvertWords({ encap, family, cookie, counter }: Shape): string[][] {
  const tunnel = `add tunnel tunnel_id 1 peer_tunnel_id 2 encap ${encap} local ${CULVERT[family]} remote ${QEMU[family]}`;
  const ports = encap === "udp" ? " udp_sport 5001 udp_dport 6001" : "";
  const session = `add session tunnel_id 1 session_id 1 peer_session_id 2 name l2q l2spec_type ${counter ? "default" : "none"}`;
  const cookies = cookie > 0 ? ` cookie ${OURS[cookie]} peer_cookie ${THEIRS[cookie]}` : "";
  return [tunnel + ports, session + cookies].map((line) => line.split(" "));
}

for (const shape of SHAPES) {
  const { encap, family, cookie, counter } = shape;
  kernelTest(
    `qemu's L2TPv3 and ours carry each other's frames: ${encap} over IPv${family}, cookie ${cookie}, counter ${counter}`,
    ["qemu-system-x86_64"],
    async (lab) => {
      const [ours, theirs] = [lab.namespace("ours"), lab.namespace("theirs")];
      lab.connect(ours, "eth0", theirs, "eth0");
      ours.address("eth0", `${CULVERT[4]}/24`, `${CULVERT[6]}/64`);
      theirs.address("eth0", `${QEMU[4]}/24`, `${QEMU[6]}/64`);
      const daemon = await Daemon.start(ours, lab.folder, "l2tp", ["run"]);
      for (const words of culvertWords(shape)) {
        const asked = startCulvert(ours, "l2tp", ...words, "--control", daemon.control);
        assert.equal((await asked.finish(PATIENCE_MS)).code, 0, asked.stderr);
      }
      ours.address("l2q", "10.9.0.1/24");
      ours.up("l2q");
      const qemu = theirs.start(findTool("qemu-system-x86_64")!, qemuWords(shape));
      const words = ["10.9.0.2", "10.9.0.1", "7001", "7000", ...SIZES.map(String)];
      const frames = theirs.start(process.execPath, [FRAMES, ...words]);
      await frames.finish(PATIENCE_MS);
      assert.equal(frames.exit?.code, 0, `${frames.stderr}${qemu.stderr}`);
      const { mac, came } = JSON.parse(frames.stdout) as { mac: string; came: number[] };
      assert.deepEqual(came, SIZES);
      const device = ours.read("/sys/class/net/l2q/address");
      assert.equal(mac, device.trim().replaceAll(":", ""));
    },
  );
}
