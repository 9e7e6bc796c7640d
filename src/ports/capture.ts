/**
 * Capture files: pcap and pcapng are read (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng), in
 * either byte order; pcapng is written.
 */
import { CulvertError } from "../core/errors.ts";

export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101; // an IPv4 or IPv6 datagram, without anything before it

/** A file that is no capture, or none that we read. */
export class CaptureError extends CulvertError {
  readonly code = "CULVERT_CAPTURE";
}

export interface CapturedPacket {
  /** LINKTYPE_*. */
  readonly linkType: number;
  /** Nanoseconds since 1970; 0 where the file tells none. */
  readonly time: bigint;
  /** What was captured of the packet, perhaps not all of it. */
  readonly octets: Uint8Array;
}

/** Gives the file's next `count` octets, fewer at its end. */
export type Pull = (count: number) => Uint8Array;

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;

const SECTION_HEADER = 0x0a0d0d0a; // alike in both byte orders
const BYTE_ORDER = 0x1a2b3c4d;
const INTERFACE_DESCRIPTION = 1;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const ENHANCED_PACKET_HEADER = 20; // from the block's body
const OPTION_END = 0;
const OPTION_COMMENT = 1;
const OPTION_APPLICATION = 4; // shb_userappl, of a section
const OPTION_TIME_RESOLUTION = 9; // if_tsresol, of an interface
const OPTION_TIME_OFFSET = 14; // if_tsoffset, likewise

/** Octets of a block without its body: type, length, and length again. */
const BLOCK_FRAME = 12;

/** Our bounds, above what any tool writes: octets of a captured packet, and of a block. */
const PACKET_MAX = 262_144;
const BLOCK_MAX = 16 * 1024 * 1024;

const SECOND = 1_000_000_000n;

interface CaptureInterface {
  readonly linkType: number;
  /** Units of the timestamp in a second. */
  readonly resolution: bigint;
  /** Nanoseconds to add to it. */
  readonly offset: bigint;
}

/**
 * Reads the packets of a capture file one after another. A file that is cut within a record ends
 * before it; anything else that is not as it should be is a CaptureError.
 */
export class CaptureReader {
  readonly #pull: Pull;
  readonly #subject: string;
  readonly #read: () => CapturedPacket | undefined;
  #little = false;
  #interfaces: CaptureInterface[] = [];
  #ended = false;

  /** `subject` names the file in errors. */
  constructor(pull: Pull, subject: string) {
    this.#pull = pull;
    this.#subject = subject;
    const magic = pull(4);
    if (magic.length < 4) throw this.#error("it is too short for a capture");
    const big = viewOf(magic).getUint32(0);
    const little = viewOf(magic).getUint32(0, true);
    if (big === SECTION_HEADER) {
      this.#ended = !this.#section();
      this.#read = () => this.#nextPacketBlock();
      return;
    }
    this.#little = little === MAGIC_MICROSECONDS || little === MAGIC_NANOSECONDS;
    const number = this.#little ? little : big;
    if (number !== MAGIC_MICROSECONDS && number !== MAGIC_NANOSECONDS)
      throw this.#error("it is neither pcap nor pcapng");
    const linkType = this.#fileHeader();
    this.#ended = linkType === undefined;
    const unit = number === MAGIC_MICROSECONDS ? 1_000n : 1n;
    this.#read = () => this.#nextRecord(linkType!, unit);
  }

  /** The next packet; undefined at the end. */
  next(): CapturedPacket | undefined {
    const packet = this.#ended ? undefined : this.#read();
    this.#ended = packet === undefined;
    return packet;
  }

  #error(what: string): CaptureError {
    return new CaptureError(`${this.#subject}: ${what}`);
  }

  /** The next `count` octets; undefined when the file ends before. */
  #take(count: number): DataView | undefined {
    const octets = this.#pull(count);
    return octets.length < count ? undefined : viewOf(octets);
  }

  /** A link type that a lane can read. */
  #known(linkType: number): number {
    if (linkType === LINKTYPE_ETHERNET || linkType === LINKTYPE_RAW) return linkType;
    throw this.#error(
      `link type ${linkType} is not read, only Ethernet (${LINKTYPE_ETHERNET}) and raw IP (${LINKTYPE_RAW})`,
    );
  }

  #packetLength(length: number): number {
    if (length <= PACKET_MAX) return length;
    throw this.#error(`it tells of a packet of ${length} octets, more than ${PACKET_MAX}`);
  }

  /** The link type that a pcap file's header tells; its magic number is read already. */
  #fileHeader(): number | undefined {
    const header = this.#take(20);
    if (!header) return undefined;
    const major = header.getUint16(0, this.#little);
    if (major !== 2) throw this.#error(`pcap version ${major} is not read, only 2`);
    // The upper half tells of a frame check sequence.
    return this.#known(header.getUint32(16, this.#little) & 0xffff);
  }

  /** The next record of a pcap file, whose timestamps count `unit` nanoseconds. */
  #nextRecord(linkType: number, unit: bigint): CapturedPacket | undefined {
    const header = this.#take(16);
    if (!header) return undefined;
    const seconds = BigInt(header.getUint32(0, this.#little));
    const fraction = BigInt(header.getUint32(4, this.#little));
    const packet = this.#take(this.#packetLength(header.getUint32(8, this.#little)));
    if (!packet) return undefined;
    return { linkType, time: seconds * SECOND + fraction * unit, octets: octetsOf(packet) };
  }

  /** Reads blocks on until one holds a packet. */
  #nextPacketBlock(): CapturedPacket | undefined {
    for (;;) {
      const type = this.#take(4)?.getUint32(0, this.#little);
      if (type === undefined) return undefined;
      if (type === SECTION_HEADER) {
        if (!this.#section()) return undefined;
        continue;
      }
      const length = this.#take(4)?.getUint32(0, this.#little);
      const body = length === undefined ? undefined : this.#body(length, 0);
      if (!body) return undefined;
      if (type === INTERFACE_DESCRIPTION) this.#interfaces.push(this.#describe(body));
      if (type === ENHANCED_PACKET) return this.#enhancedPacket(body);
      if (type === SIMPLE_PACKET) return this.#simplePacket(body);
    }
  }

  /** Begins a section, whose type is read already. False when the file ends within. */
  #section(): boolean {
    const start = this.#take(8);
    if (!start) return false;
    this.#little = start.getUint32(4, true) === BYTE_ORDER;
    if (!this.#little && start.getUint32(4) !== BYTE_ORDER)
      throw this.#error("a section's byte-order magic is wrong");
    const body = this.#body(start.getUint32(0, this.#little), 4);
    if (!body) return false;
    this.#hold(body, 12);
    const major = body.getUint16(0, this.#little);
    if (major !== 1) throw this.#error(`pcapng version ${major} is not read, only 1`);
    this.#interfaces = [];
    return true;
  }

  /** The body of a block of `length` octets in all, of which `read` body octets are read. */
  #body(length: number, read: number): DataView | undefined {
    const rest = length - BLOCK_FRAME - read;
    if (rest < 0 || length % 4 !== 0 || length > BLOCK_MAX)
      throw this.#error(`a block of ${length} octets is not possible`);
    const body = this.#take(rest);
    const again = this.#take(4)?.getUint32(0, this.#little);
    if (!body || again === undefined) return undefined;
    if (again !== length)
      throw this.#error(`a block of ${length} octets ends as one of ${again} octets`);
    return body;
  }

  /** Sees to it that a block's body has `count` octets. */
  #hold(body: DataView, count: number): void {
    if (body.byteLength >= count) return;
    throw this.#error(`a block has ${body.byteLength} octets where ${count} are needed`);
  }

  #describe(body: DataView): CaptureInterface {
    this.#hold(body, 8);
    let resolution = 1_000_000n;
    let offset = 0n;
    for (let at = 8; at + 4 <= body.byteLength;) {
      const code = body.getUint16(at, this.#little);
      const length = body.getUint16(at + 2, this.#little);
      if (code === OPTION_END) break;
      this.#hold(body, at + 4 + length);
      if (code === OPTION_TIME_RESOLUTION && length === 1) {
        const power = body.getUint8(at + 4);
        resolution = (power & 0x80 ? 2n : 10n) ** BigInt(power & 0x7f);
      }
      if (code === OPTION_TIME_OFFSET && length === 8)
        offset = body.getBigInt64(at + 4, this.#little) * SECOND;
      at += 4 + padded(length);
    }
    return { linkType: body.getUint16(0, this.#little), resolution, offset };
  }

  #enhancedPacket(body: DataView): CapturedPacket {
    this.#hold(body, ENHANCED_PACKET_HEADER);
    const from = this.#interface(body.getUint32(0, this.#little));
    const high = BigInt(body.getUint32(4, this.#little));
    const low = BigInt(body.getUint32(8, this.#little));
    const length = this.#packetLength(body.getUint32(12, this.#little));
    this.#hold(body, ENHANCED_PACKET_HEADER + length);
    return {
      linkType: this.#known(from.linkType),
      time: (((high << 32n) | low) * SECOND) / from.resolution + from.offset,
      octets: octetsOf(body).subarray(ENHANCED_PACKET_HEADER, ENHANCED_PACKET_HEADER + length),
    };
  }

  /** A packet of the first interface; all that the block holds of it is there. */
  #simplePacket(body: DataView): CapturedPacket {
    this.#hold(body, 4);
    const { linkType } = this.#interface(0);
    const length = this.#packetLength(
      Math.min(body.getUint32(0, this.#little), body.byteLength - 4),
    );
    return {
      linkType: this.#known(linkType),
      time: 0n,
      octets: octetsOf(body).subarray(4, 4 + length),
    };
  }

  #interface(number: number): CaptureInterface {
    const found = this.#interfaces[number];
    if (!found) throw this.#error(`a packet names interface ${number}, which is not described`);
    return found;
  }
}

/** What a file of raw IP packets with times in nanoseconds begins with. */
export function captureStart(application: string, linkType: number): Uint8Array {
  const section = block(SECTION_HEADER, 16, [option(OPTION_APPLICATION, textOf(application))]);
  section.setUint32(8, BYTE_ORDER, true);
  section.setUint16(12, 1, true);
  section.setBigInt64(16, -1n, true); // the section's length is not told
  const nanoseconds = option(OPTION_TIME_RESOLUTION, Uint8Array.of(9));
  const description = block(INTERFACE_DESCRIPTION, 8, [nanoseconds]);
  description.setUint16(8, linkType, true);
  return Uint8Array.from([...octetsOf(section), ...octetsOf(description)]);
}

/**
 * A packet as it stands in such a file. `time` is in nanoseconds since 1970. `comment` is shown
 * beside the packet, such as the reason why it was dropped.
 */
export function captureRecord(octets: Uint8Array, time: bigint, comment?: string): Uint8Array {
  const options = comment === undefined ? [] : [option(OPTION_COMMENT, textOf(comment))];
  const bodyLength = ENHANCED_PACKET_HEADER + padded(octets.length);
  const record = block(ENHANCED_PACKET, bodyLength, options);
  record.setUint32(12, Number(BigInt.asUintN(32, time >> 32n)), true);
  record.setUint32(16, Number(BigInt.asUintN(32, time)), true);
  record.setUint32(20, octets.length, true);
  record.setUint32(24, octets.length, true);
  octetsOf(record).set(octets, 8 + ENHANCED_PACKET_HEADER);
  return octetsOf(record);
}

/** A little-endian block with an empty body of `length` octets and these options after it. */
function block(type: number, length: number, options: readonly Uint8Array[]): DataView {
  const end = options.length > 0 ? 4 : 0; // the option that ends the list
  const total = options.reduce((sum, each) => sum + each.length, BLOCK_FRAME + length + end);
  const octets = new Uint8Array(total);
  const view = viewOf(octets);
  view.setUint32(0, type, true);
  view.setUint32(4, total, true);
  let at = 8 + length;
  for (const each of options) {
    octets.set(each, at);
    at += each.length;
  }
  view.setUint32(total - 4, total, true);
  return view;
}

function option(code: number, value: Uint8Array): Uint8Array {
  const octets = new Uint8Array(4 + padded(value.length));
  const view = viewOf(octets);
  view.setUint16(0, code, true);
  view.setUint16(2, value.length, true);
  octets.set(value, 4);
  return octets;
}

/** UTF-8, whole characters of it, as far as an option can hold it. */
function textOf(text: string): Uint8Array {
  const octets = new Uint8Array(0xffff);
  return octets.subarray(0, new TextEncoder().encodeInto(text, octets).written);
}

/** Octets to the next multiple of four. */
function padded(length: number): number {
  return (length + 3) & ~3;
}

function viewOf(octets: Uint8Array): DataView {
  return new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
}

function octetsOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
