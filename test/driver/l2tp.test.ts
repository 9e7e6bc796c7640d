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
  groupText,
  guestSession,
  L2tpBed,
  opening,
  SHAPES,
  shapeText,
  type Shape,
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
/** The shapes of each encapsulation and family. */
const GROUPS = [...new Set(SHAPES.map(groupText))].map((text) =>
  SHAPES.filter((shape) => groupText(shape) === text),
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
  "frames with a VLAN tag pass from one of Linux's bridges to another through two of our tunnels, in every shape",
  async (bed) => {
    // Each shape over UDP with one over IP, and a bridge of ours between the two.
    const half = SHAPES.length / 2;
    const pairs = SHAPES.slice(0, half).map((near, n) => ({ n, near, far: SHAPES[half + n]! }));
    for (const { n, near, far } of pairs)
      bed.box.bridge(`br${n}`, culvertDevice(near), culvertDevice(far));
    await bed.guest.run("ip netns add far");
    await bed.guest.ipBatch(
      SHAPES.flatMap((shape) => [
        `link add br${shape.i} type bridge mcast_snooping 0`,
        `link set ${guestDevice(shape)} master br${shape.i}`,
        `link set br${shape.i} up`,
        `link add link br${shape.i} name v${shape.i} type vlan id 7`,
      ]),
    );
    await bed.guest.ipBatch(
      pairs.flatMap(({ n, near, far }) => [
        ...opening(`v${near.i}`, `10.99.${n}.1`),
        `link set v${far.i} netns far`,
      ]),
    );
    const beyond = pairs.flatMap(({ n, far }) => opening(`v${far.i}`, `10.99.${n}.2`));
    await bed.guest.ipBatch(beyond, "far");
    const room = (shape: Shape) =>
      Number(bed.box.read(`/sys/class/net/${culvertDevice(shape)}/mtu`));
    const targets = pairs.map(({ n, near, far }) => ({
      address: `10.99.${n}.2`,
      size: Math.min(room(near), room(far)) - ICMP,
    }));
    assert.equal(await bed.ping(targets), "");
    await bed.guest.run("ip netns del far");
    await bed.guest.ipBatch(SHAPES.map(({ i }) => `link del br${i}`));
    bed.box.ipBatch(pairs.map(({ n }) => `link del br${n}`));
  },
);

// Shapes of one group differ in cookie and sublayer; of neighbours one sends and the other receives.
for (const [i, group] of GROUPS.entries())
  bedTest(`10 MiB over TCP come whole in every shape: ${groupText(group[0]!)}`, async (bed) => {
    const transfers = group.map((shape) => ({
      shape,
      to: (shape.i + i) % 2 === 0 ? ("guest" as const) : ("box" as const),
    }));
    const moved = await bed.transfer(transfers, TRANSFER);
    const named = transfers.map(({ shape, to }, n) => ({
      what: `${shapeText(shape)}, to the ${to}`,
      ...moved[n]!,
    }));
    assert.equal(named.length, group.length);
    for (const { what, ours, theirs } of named) {
      assert.match(theirs ?? "", /^[0-9a-f]{64}$/, what);
      assert.equal(ours, theirs, what);
    }
  });
