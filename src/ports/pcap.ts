/** Capture files as ports: one that packets come from, and one that packets go to. */
import { readSync, writeSync } from "node:fs";
import { FRAME_ETHERNET, FRAME_IP } from "../../assembly/layout/arena.ts";
import { ETHERNET_LENGTH } from "../../assembly/layout/system.ts";
import { EOPNOTSUPP, errorNumber } from "../os/errno.ts";
import {
  CaptureError,
  captureRecord,
  captureStart,
  LINKTYPE_ETHERNET,
  LINKTYPE_RAW,
  type CapturedPacket,
  type CaptureReader,
  type Pull,
} from "./capture.ts";
import { EventWatch } from "./event-watch.ts";
import { ArenaMessages } from "./messages.ts";
import type { ArenaView, Port, Readiness } from "./port.ts";

/** Octets read from a file at a time. */
const CHUNK = 256 * 1024;

/** The octets of an open file, or of octets at hand, from the start on. */
export function pullFrom(source: number | Uint8Array): Pull {
  let at = 0;
  let held = typeof source === "number" ? new Uint8Array(0) : source;
  return (count) => {
    if (typeof source === "number")
      while (held.length - at < count) {
        const chunk = new Uint8Array(Math.max(CHUNK, count));
        const length = readSync(source, chunk);
        if (length === 0) break;
        held = Buffer.concat([held.subarray(at), chunk.subarray(0, length)]);
        at = 0;
      }
    const octets = held.subarray(at, at + count);
    at += octets.length;
    return octets;
  };
}

/** Packets come from a capture, as fast as they are taken; there is nowhere to send. */
export class CaptureInlet extends EventWatch implements Port {
  /** FRAME_ETHERNET or FRAME_IP: what stands before each packet. */
  readonly frame: number;
  readonly #reader: CaptureReader;
  readonly #messages: ArenaMessages;
  readonly #region: number;
  readonly #header: number;
  #next: CapturedPacket | undefined;
  #error: unknown;

  /** `region` is the receive region's address in the arena. Throws CaptureError. */
  constructor(arena: ArenaView, reader: CaptureReader, region: number) {
    super();
    this.#reader = reader;
    this.#messages = new ArenaMessages(arena);
    this.#region = region;
    this.#next = reader.next();
    const isEthernet = this.#next?.linkType === LINKTYPE_ETHERNET;
    this.frame = isEthernet ? FRAME_ETHERNET : FRAME_IP;
    this.#header = isEthernet ? ETHERNET_LENGTH : 0;
  }

  /** True once all packets have been received. */
  get ended(): boolean {
    return !this.#next && !this.#error;
  }

  /** Throws CaptureError where the file goes wrong, after all packets before have been received. */
  receive(most: number): number {
    let count = 0;
    for (; this.#next && count < most; count++) {
      this.#messages.put(this.#region, count, this.#header, this.#next);
      this.#advance(this.#next.linkType);
    }
    if (count === 0 && this.#error) throw this.#error;
    return count;
  }

  send(): number {
    return -EOPNOTSUPP;
  }

  protected override readiness(): Readiness {
    return { readable: !this.ended, writable: false };
  }

  #advance(linkType: number): void {
    try {
      this.#next = this.#reader.next();
      if (!this.#next || this.#next.linkType === linkType) return;
      this.#error = new CaptureError("a capture with packets of several link types is not read");
    } catch (error) {
      this.#error = error;
    }
    this.#next = undefined;
  }
}

/** Packets go to a pcapng file, each with the time at which it was sent here. */
export class CaptureOutlet extends EventWatch implements Port {
  readonly #fd: number;
  readonly #messages: ArenaMessages;
  readonly #now: () => bigint;
  /** What the file has not taken yet: part of a batch, that must come before all else. */
  #rest: Uint8Array;

  /**
   * `fd` is written from where it stands; `linkType` says what each packet is. `now` gives
   * nanoseconds since 1970.
   */
  constructor(
    arena: ArenaView,
    fd: number,
    linkType: number = LINKTYPE_RAW,
    now: () => bigint = wallClock(),
  ) {
    super();
    this.#fd = fd;
    this.#messages = new ArenaMessages(arena);
    this.#now = now;
    this.#rest = captureStart("culvert", linkType);
    this.#write();
  }

  /** A capture here is only written to. */
  receive(): number {
    return 0;
  }

  send(first: number, count: number): number {
    const refusal = this.#write();
    if (refusal !== 0) return refusal;
    const time = this.#now();
    const records = Array.from({ length: count }, (_, i) =>
      captureRecord(this.#messages.gather(first + i), time),
    );
    this.#rest = Buffer.concat(records);
    // What the file refuses now is told when it refuses again.
    this.#write();
    return count;
  }

  override close(): void {
    super.close();
    this.#write();
  }

  protected override readiness(): Readiness {
    return { readable: false, writable: true };
  }

  /** Writes what is left. Returns 0 or a negated errno. */
  #write(): number {
    try {
      while (this.#rest.length > 0)
        this.#rest = this.#rest.subarray(writeSync(this.#fd, this.#rest));
      return 0;
    } catch (error) {
      return -errorNumber(error);
    }
  }
}

/** Nanoseconds since 1970 that never go back. */
function wallClock(): () => bigint {
  const origin = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  return () => origin + process.hrtime.bigint();
}
