/**
 * L2TP data messages, on and off. Read RFC 3931 §4.1 and §4.6 first; RFC 2661 §3.1 and §5.4 for
 * version 2. The wire is read and written by `src/wire/l2tp.ts`; here is what a session makes of it.
 */
import * as l2tp from "../../../assembly/layout/l2tp.ts";
import { TRAIN_LENGTH_MAX } from "../../../assembly/layout/arena.ts";
import * as verdict from "../../../assembly/layout/verdict.ts";
import {
  emitDataV2,
  emitDataV3,
  emitSublayer,
  parseMessage,
  parseSublayer,
  type DataV2,
  type DataV3,
} from "../../wire/l2tp.ts";
import {
  hasNumbers,
  L2TP_DATAGRAM_MAX,
  l2tpTerms,
  needRoom,
  type L2tpSession,
  type L2tpSessionOptions,
  type L2tpTerms,
} from "../l2tp-session.ts";
import { fits, isTagged, setVlan, vlanOf } from "./pseudowire.ts";
import { SequenceWindow } from "./sequence.ts";

/** A frame on its way in: what the header said of it. */
interface Opened {
  readonly frame: Uint8Array;
  readonly mark: number;
  readonly number: number | undefined;
}

export class ReferenceL2tpSession implements L2tpSession {
  readonly overhead: number;
  readonly #terms: L2tpTerms;
  readonly #window: SequenceWindow<Opened>;
  #nextNumber = 0;
  /** True while packets are numbered; a LAC does as its peer does. */
  #isNumbering: boolean;

  constructor(options: L2tpSessionOptions) {
    const terms = l2tpTerms(options);
    this.overhead = terms.overhead;
    this.#terms = terms;
    this.#isNumbering = terms.sequence;
    this.#window = new SequenceWindow({
      bits: terms.version === 2 ? 16 : 24,
      ignored: terms.peerSequence === "ignore",
      required: terms.peerSequence === "require",
      restartAfter: terms.restartAfter,
      hold: 0,
      holdMost: 0,
    });
  }

  encapsulate(given: Uint8Array, datagram: Uint8Array): number {
    needRoom("datagram", datagram, given.length + this.overhead);
    const { marked, vlan, pseudowire, frameMax, version } = this.#terms;
    let frame = given;
    let mark = 0;
    if (marked) {
      if (given.length < l2tp.FRAME_MARK) return -verdict.VERDICT_TRUNCATED;
      mark = given[0]!;
      if (mark & ~l2tp.SUBLAYER_ATM_BITS || given[1]! | given[2]! | given[3]!)
        return -verdict.VERDICT_L2TP_PAYLOAD;
      frame = given.subarray(l2tp.FRAME_MARK);
    }
    if (vlan !== undefined && !(isTagged(frame) && vlanOf(frame) === vlan))
      return -verdict.VERDICT_L2TP_VLAN;
    if (!fits(pseudowire, frame, mark)) return -verdict.VERDICT_L2TP_PAYLOAD;
    const header = this.#headerLength();
    if (frame.length > Math.min(frameMax, TRAIN_LENGTH_MAX - header))
      return -verdict.VERDICT_TOO_BIG;
    const message = version === 2 ? this.#messageV2(frame) : this.#messageV3(frame, mark);
    datagram.set(message);
    return message.length;
  }

  decapsulate(datagram: Uint8Array, frame: Uint8Array): number {
    needRoom("frame", frame, datagram.length);
    if (datagram.length > L2TP_DATAGRAM_MAX) return -verdict.VERDICT_TOO_BIG;
    const message = parseMessage(datagram, this.#terms.encapsulation);
    if (typeof message === "number") return -message;
    if (message.kind === "control") return -verdict.VERDICT_PUNTED;
    if (!this.#isOurs(message)) return -verdict.VERDICT_L2TP_SESSION;
    const opened = message.version === 2 ? openV2(message) : this.#openV3(message);
    if (typeof opened === "number") return -opened;
    if (!fits(this.#terms.pseudowire, opened.frame, opened.mark))
      return -verdict.VERDICT_L2TP_PAYLOAD;
    if (this.#terms.peerSequence === "mirror") this.#isNumbering = opened.number !== undefined;
    const { drop } = this.#window.arrive(opened.number, opened, 0);
    if (drop !== undefined) return -drop;
    return this.#deliver(opened, frame);
  }

  close(): void {
    // There is nothing to give back.
  }

  #headerLength(): number {
    const leftOut = this.#terms.version === 2 && hasNumbers(this.#terms) && !this.#isNumbering;
    return this.overhead - (leftOut ? 4 : 0);
  }

  #messageV2(payload: Uint8Array): Uint8Array {
    const { peerTunnelId, peerSessionId, length, offset } = this.#terms;
    return emitDataV2({
      tunnelId: peerTunnelId,
      sessionId: peerSessionId,
      priority: false,
      hasLength: length,
      sequence: this.#isNumbering ? { ns: this.#takeNumber(0x1_0000), nr: 0 } : undefined,
      offset,
      payload,
    });
  }

  #messageV3(frame: Uint8Array, mark: number): Uint8Array {
    const { encapsulation, peerSessionId, cookie, sublayer } = this.#terms;
    if (sublayer === l2tp.SUBLAYER_NONE)
      return emitDataV3(encapsulation, peerSessionId, cookie, frame);
    const between = emitSublayer({
      vccv: false,
      fragment: 0,
      mark: sublayer === l2tp.SUBLAYER_ATM ? mark : 0,
      number: this.#isNumbering ? this.#takeNumber(0x100_0000) : undefined,
    });
    return emitDataV3(encapsulation, peerSessionId, cookie, between, frame);
  }

  #takeNumber(count: number): number {
    const number = this.#nextNumber;
    this.#nextNumber = (number + 1) % count;
    return number;
  }

  #isOurs(message: DataV2 | DataV3): boolean {
    const { version, tunnelId, sessionId } = this.#terms;
    if (message.version !== version) return false;
    if (message.version === 2)
      return message.tunnelId === tunnelId && message.sessionId === sessionId;
    return sessionId === 0 || message.sessionId === sessionId;
  }

  #openV3({ rest }: DataV3): Opened | number {
    const { peerCookies, peerSublayer } = this.#terms;
    const after = peerCookies[0].length;
    const hasSublayer = peerSublayer !== l2tp.SUBLAYER_NONE;
    const start = after + (hasSublayer ? l2tp.SUBLAYER_LENGTH : 0);
    if (rest.length < start) return verdict.VERDICT_TRUNCATED;
    if (!peerCookies.some((cookie) => cookie.every((octet, i) => octet === rest[i])))
      return verdict.VERDICT_L2TP_COOKIE;
    const frame = rest.subarray(start);
    if (!hasSublayer) return { frame, mark: 0, number: undefined };
    const { vccv, fragment, mark, number } = parseSublayer(rest.subarray(after));
    if (vccv) return verdict.VERDICT_L2TP_VCCV;
    if (peerSublayer === l2tp.SUBLAYER_ATM) return { frame, mark, number };
    if (fragment) return verdict.VERDICT_L2TP_FRAGMENT;
    return { frame, mark: 0, number };
  }

  #deliver({ frame, mark }: Opened, to: Uint8Array): number {
    const { marked, vlan } = this.#terms;
    const start = marked ? l2tp.FRAME_MARK : 0;
    if (marked) to.set([mark, 0, 0, 0]);
    to.set(frame, start);
    if (vlan !== undefined) setVlan(to.subarray(start), vlan);
    return start + frame.length;
  }
}

function openV2({ payload, sequence }: DataV2): Opened {
  return { frame: payload, mark: 0, number: sequence?.ns };
}
