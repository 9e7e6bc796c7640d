/** Linux's own L2TP driver and Culvert: Ethernet pseudowires of every shape, between two kernels. */
import assert from "node:assert/strict";
import { after } from "node:test";
import { Lab } from "../../src/lab/lab.ts";
import { Capture } from "../kernel/capture.ts";
import type { DriverImage } from "./image.ts";
import {
  culvertAddress,
  culvertDevice,
  culvertSession,
  guestDevice,
  guestSession,
  L2tpBed,
  SHAPES,
  shapeText,
} from "./l2tp-bed.ts";
import { imageTest } from "./needs.ts";

let lab: Lab | undefined;
let booting: Promise<L2tpBed> | undefined;
after(() => lab?.close());

function bedTest(name: string, body: (bed: L2tpBed, lab: Lab) => Promise<void>): void {
  imageTest(name, async (image: DriverImage) => {
    lab ??= new Lab("l2tp");
    booting ??= L2tpBed.boot(lab, image);
    await body(await booting, lab);
  });
}

/** How tshark is to read what no control connection has announced. */
function tsharkSettings(cookie: number, sublayer: string): string[] {
  return [
    ...["-d", "udp.port==5001,l2tp", "-d", "l2tp.pw_type==0,eth"],
    ...["-o", `l2tp.cookie_size:${cookie === 0 ? "None" : `${cookie} Byte Cookie`}`],
    ...["-o", `l2tp.l2_specific:${sublayer === "none" ? "None" : "Default L2-Specific"}`],
  ];
}

const ICMP = 28; // octets of IPv4 and ICMP headers
/** Each length of cookie with each sublayer. */
const LAYOUTS = SHAPES.filter(
  ({ encap, family, seq }) => encap === "udp" && family === 4 && seq === "none",
);
const TRANSFER = 10 * 1024 * 1024;
/** Of each encapsulation and family the barest session, and the one with everything. */
const EXTREMES = SHAPES.filter(
  ({ cookie, sublayer, seq }) =>
    (cookie === 0 && sublayer === "none") || (cookie === 8 && seq === "both"),
);

bedTest(
  "Linux's devices and ours have the same MTU, in every shape (RFC 3931 §4.1.4)",
  async (bed) => {
    const read = SHAPES.map((shape) => `cat /sys/class/net/${guestDevice(shape)}/mtu`).join("; ");
    const theirs = (await bed.guest.run(read)).trim().split("\n").map(Number);
    const ours = SHAPES.map((shape) =>
      Number(bed.box.read(`/sys/class/net/${culvertDevice(shape)}/mtu`)),
    );
    const named = (mtus: readonly number[]) =>
      SHAPES.map((shape, i) => `${shapeText(shape)}: ${mtus[i]}`);
    assert.deepEqual(named(ours), named(theirs));
  },
);

bedTest(
  "pings pass through every shape of tunnel to Linux's driver, small and as large as the MTU",
  async (bed, lab) => {
    const capture = await Capture.start(lab, bed.box, "tap0", "");
    for (const size of [56, 0])
      assert.equal(
        await bed.ping(
          SHAPES.map((shape) => ({
            address: culvertAddress(shape),
            size: size || Number(bed.box.read(`/sys/class/net/${culvertDevice(shape)}/mtu`)) - ICMP,
          })),
        ),
        "",
      );
    await capture.stop();

    for (const row of await bed.sessions()) {
      const { packets, octets, ...faults } = row.statistics["rx"];
      assert.ok(packets! >= 7 && octets! > 0, JSON.stringify(row));
      assert.ok(
        Object.values(faults).every((count) => count === 0),
        JSON.stringify(row),
      );
    }
    for (const { cookie, sublayer } of LAYOUTS) {
      const group = SHAPES.filter(
        (shape) => shape.cookie === cookie && shape.sublayer === sublayer,
      );
      const sessions = group.flatMap((shape) => [culvertSession(shape), guestSession(shape)]);
      const among = `l2tp.sid in {${sessions.join(", ")}}`;
      const settings = tsharkSettings(cookie, sublayer);
      const pings = capture.values("l2tp.sid", `${among} && icmp`, settings).map(Number);
      for (const session of sessions) {
        const count = pings.filter((other) => other === session).length;
        assert.ok(
          count >= 6,
          `${count} pings in session ${session}: cookie ${cookie}, ${sublayer}`,
        );
      }
      assert.deepEqual(capture.faults(among, settings), [], `cookie ${cookie}, ${sublayer}`);
    }
  },
);

bedTest(
  "frames with a VLAN tag pass from one of Linux's bridges to another through two of our tunnels",
  async (bed) => {
    const [near, far] = [SHAPES[0]!, SHAPES.at(-1)!];
    bed.box.bridge("br0", culvertDevice(near), culvertDevice(far));
    await bed.guest.run("ip netns add far");
    for (const [i, shape] of [near, far].entries()) {
      const bridge = `ip link add br${i} type bridge mcast_snooping 0`;
      const port = `ip link set ${guestDevice(shape)} master br${i}`;
      const vlan = `ip link add link br${i} name v${i} type vlan id 7`;
      await bed.guest.run(`${bridge} && ${port} && ip link set br${i} up && ${vlan}`);
    }
    await bed.guest.run("ip address add 10.99.0.1/24 dev v0 && ip link set v0 up");
    await bed.guest.run("ip link set v1 netns far && ip -n far address add 10.99.0.2/24 dev v1");
    await bed.guest.run("ip -n far link set v1 up");
    const mtu = Number(bed.box.read(`/sys/class/net/${culvertDevice(far)}/mtu`));
    for (const size of [56, mtu - ICMP])
      assert.equal(await bed.ping([{ address: "10.99.0.2", size }]), "");
    await bed.guest.run("ip link del br0 && ip link del br1");
    bed.box.ip("link", "del", "br0");
  },
);

for (const shape of EXTREMES)
  bedTest(`10 MiB over TCP come whole both ways: ${shapeText(shape)}`, async (bed) => {
    const { ours, theirs } = await bed.exchange(shape, TRANSFER);
    assert.deepEqual(ours, theirs);
  });
