/** Super-packets: what goes in as one comes out as its segments, and the other way round. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TCP_FIN, TCP_PSH } from "../../assembly/layout/ip.ts";
import { VNET_GSO_TYPE } from "../../assembly/layout/system.ts";
import { cut } from "../../src/engine/reference/offload.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";
import { Flow, vnetOf } from "./trains.ts";
import { frameOf, Link, runTrains } from "./link.ts";

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString("hex");

/** A flow of the wanted kind. */
function flow(isV4: boolean, isTcp: boolean, seed = 1): Flow {
  for (let i = seed; ; i++) {
    const made = new Flow(new SeededEntropy(i), 1);
    const fits = made.isV4 === isV4 && made.isTcp === isTcp;
    if (fits && made.ip === 14 && !made.hasOptions) return made;
  }
}

const KINDS = [true, false].flatMap((isV4) =>
  [true, false].map((isTcp) => ({
    isV4,
    isTcp,
    name: `${isTcp ? "TCP" : "UDP"} over IPv${isV4 ? 4 : 6}`,
  })),
);

describe("super-packets", () => {
  for (const { isV4, isTcp, name } of KINDS)
    for (const simd of [true, false])
      it(`are cut as the host would: ${name}, ${simd ? "SIMD" : "scalar"}`, () => {
        const link = new Link(simd);
        for (const [length, size] of [
          [60_000, 1_448],
          [2_000, 1_000],
          [1, 1_000],
          [1_000, 1_000],
          [3_001, 1_000],
        ] as const) {
          const one = flow(isV4, isTcp, length).superPacket(length, size, TCP_PSH | TCP_FIN);
          const wanted = cut(one).map(hex);
          const vnet = vnetOf(one);
          assert.deepEqual(link.send([one.octets], vnet).map(frameOf).map(hex), wanted);
        }
        assert.deepEqual(link.books, [0, 0, 0, 0, 0, 0]);
      });

  for (const { isV4, isTcp, name } of KINDS)
    it(`are made of one flow's segments: ${name}`, () => {
      const link = new Link();
      const one = flow(isV4, isTcp);
      const frames = Array.from({ length: 30 }, () => one.segment(1_400));
      frames.push(one.segment(700, TCP_PSH));
      const written = link.receive(link.send(frames));
      assert.equal(written.length, 1);
      assert.notEqual(written[0]![VNET_GSO_TYPE], 0);
      assert.deepEqual(link.unfold(written, one.ip).map(hex), frames.map(hex));
    });

  it("are not made for a device that takes none", () => {
    const link = new Link(true, false);
    const one = flow(true, true);
    const frames = Array.from({ length: 5 }, () => one.segment(1_000));
    assert.equal(link.receive(link.send(frames)).length, 5);
  });

  it("come and go through the same tunnel unchanged, whatever is in them", () => {
    const { frames, messages } = runTrains(3_000, 1);
    assert.ok(messages < frames * 0.7, `${frames} frames in ${messages} messages`);
  });
});
