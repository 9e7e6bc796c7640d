/** Every pseudowire, from end to end between two cores: frames of every length, unchanged. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { arrive, Desk, planOf, SOCKET } from "./desk.ts";

const A = { address: "2001:db8::1", port: 0 };
const B = { address: "2001:db8::2", port: 0 };
const DEVICE = 2;

/** Frames of this pseudowire: `start` is how each begins. */
interface Row {
  readonly name: string;
  readonly type: number;
  readonly start: string;
  /** Frames are a multiple of so many octets. */
  readonly unit?: number;
  readonly port?: number;
  readonly sublayer?: number;
  readonly vlan?: number;
}

const ROWS: Row[] = [
  { name: "Ethernet", type: l2tp.PW_ETHERNET, start: "0200000000010200000000020800" },
  {
    name: "Ethernet VLAN",
    type: l2tp.PW_VLAN,
    start: "0200000000010200000000028100006408004500",
    port: l2tp.PORT_TRUNK,
    vlan: 100,
  },
  { name: "HDLC", type: l2tp.PW_HDLC, start: "0f000800" },
  { name: "Frame Relay", type: l2tp.PW_FRAME_RELAY, start: "184103cc" },
  { name: "ATM cells of a port", type: l2tp.PW_ATM_PORT, start: "00000640", unit: 52 },
  { name: "ATM cells of a VCC", type: l2tp.PW_ATM_VCC, start: "00000640", unit: 52 },
  { name: "ATM cells of a VPC", type: l2tp.PW_ATM_VPC, start: "00000640", unit: 52 },
  {
    name: "AAL5",
    type: l2tp.PW_AAL5,
    start: "05000000aaaa03000000",
    port: l2tp.PORT_MARKED,
    sublayer: l2tp.SUBLAYER_ATM,
  },
  { name: "PPP", type: l2tp.PW_PPP, start: "ff030021" },
  { name: "IPv4", type: l2tp.PW_IP, start: "45000000" },
  { name: "IPv6", type: l2tp.PW_IP, start: "60000000" },
];

describe("pseudowires", () => {
  for (const row of ROWS)
    it(`${row.name}: frames of 64 to 9,000 octets pass unchanged`, () => {
      const ends = [B, A].map((peer, i) => {
        const desk = new Desk(l2tp.PORT_IPV6);
        desk.port(DEVICE, row.port ?? l2tp.PORT_FRAMES);
        const sublayer = row.sublayer ?? l2tp.SUBLAYER_NONE;
        const plan = {
          pseudowire: row.type,
          sublayer,
          ...(row.vlan === undefined ? {} : { vlan: row.vlan }),
        };
        const header = { id: 2 - i, udp: false, sublayer };
        desk.session(
          1,
          { port: SOCKET, version: 3, peer, id: 1 + i },
          planOf(DEVICE, header, plan),
        );
        return desk;
      });
      const unit = row.unit ?? 1;
      const frames: Buffer[] = [];
      for (let length = 64; length <= 9_000; length += 1 + (length >> 5)) {
        const frame = Buffer.alloc(Math.ceil(length / unit) * unit, length & 0xff);
        Buffer.from(row.start, "hex").copy(frame);
        frames.push(frame);
      }
      const [a, b] = ends as [Desk, Desk];
      const there = b.receive(arrive(A, a.send(DEVICE, frames).flat()));
      assert.deepEqual(
        there.map(({ octets }) => Buffer.from(octets).toString("hex")),
        frames.map((frame) => frame.toString("hex")),
      );
      const back = a.receive(arrive(B, b.send(DEVICE, frames).flat()));
      assert.equal(back.length, frames.length);
      assert.deepEqual([...a.books, ...b.books], [0, 0, 0, 0, 0, 0]);
    });
});
