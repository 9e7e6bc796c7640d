/** Capture files as other tools write them, in both formats and byte orders. */
import { CaptureReader, type CapturedPacket } from "../../src/ports/capture.ts";
import { pullFrom } from "../../src/ports/pcap.ts";

export interface CaptureSpec {
  readonly little: boolean;
  readonly linkType: number;
  readonly packets: readonly Uint8Array[];
}

/** Seconds and nanoseconds of packet `i`. */
export const TIME = { seconds: 1_700_000_000, nanoseconds: 123_456_000 };

/** A pcap file; its times count microseconds unless `nanoseconds`. */
export function pcapFile(spec: CaptureSpec & { readonly nanoseconds?: boolean }): Uint8Array {
  const { little, linkType, packets, nanoseconds = false } = spec;
  const words = (...values: number[]): Uint8Array => u32s(little, values);
  const start = words(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
  const version = u16s(little, [2, 4]);
  const fraction = nanoseconds ? TIME.nanoseconds : TIME.nanoseconds / 1_000;
  return Buffer.concat([
    start,
    version,
    words(0, 0, 262_144, linkType),
    ...packets.flatMap((packet, i) => [
      words(TIME.seconds + i, fraction, packet.length, packet.length),
      packet,
    ]),
  ]);
}

/**
 * A pcapng file: times count powers of two, as `if_tsresol` may say; blocks that nobody knows lie
 * between those of packets, and every other packet is a Simple Packet Block, which has no time.
 */
export function pcapngFile({ little, linkType, packets }: CaptureSpec): Uint8Array {
  const words = (...values: number[]): Uint8Array => u32s(little, values);
  const block = (type: number, ...parts: Uint8Array[]): Uint8Array => {
    const body = Buffer.concat(parts);
    const length = 12 + body.length;
    return Buffer.concat([words(type, length), body, words(length)]);
  };
  const section = block(
    0x0a0d0d0a,
    words(0x1a2b3c4d),
    u16s(little, [1, 0]),
    words(0xffffffff, 0xffffffff),
  );
  const resolution = Buffer.concat([
    u16s(little, [9, 1]),
    Uint8Array.of(0x80 | 20, 0, 0, 0),
    words(0),
  ]);
  const description = block(1, u16s(little, [linkType, 0]), words(0), resolution);
  return Buffer.concat([
    section,
    description,
    ...packets.flatMap((packet, i) => {
      const padding = new Uint8Array(-packet.length & 3);
      const units =
        (BigInt(TIME.seconds + i) << 20n) + (BigInt(TIME.nanoseconds) << 20n) / 1_000_000_000n;
      const unknown = block(0x0bad_b10c & 0x7fffffff, words(i));
      if (i % 2 === 1) return [unknown, block(3, words(packet.length), packet, padding)];
      const high = Number(units >> 32n);
      const low = Number(units & 0xffff_ffffn);
      const comment = Buffer.concat([u16s(little, [1, 2]), Buffer.from("ok\0\0"), words(0)]);
      const head = words(0, high, low, packet.length, packet.length);
      return [unknown, block(6, head, packet, padding, comment)];
    }),
  ]);
}

/** All packets of a capture. */
export function readAll(file: Uint8Array): CapturedPacket[] {
  const reader = new CaptureReader(pullFrom(file), "test.pcap");
  const packets: CapturedPacket[] = [];
  for (let packet = reader.next(); packet; packet = reader.next()) packets.push(packet);
  return packets;
}

export function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString("hex");
}

function u32s(little: boolean, values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  for (const [i, value] of values.entries()) view.setUint32(4 * i, value, little);
  return new Uint8Array(view.buffer);
}

function u16s(little: boolean, values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(2 * values.length));
  for (const [i, value] of values.entries()) view.setUint16(2 * i, value, little);
  return new Uint8Array(view.buffer);
}
