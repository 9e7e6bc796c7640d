/**
 * DNS messages (RFC 1035 §4), through dns-packet: one question out, what a response says in. A
 * response is anybody's octets: what cannot be read gives undefined, never an exception.
 */
import { decode, encode, type DecodedPacket } from "dns-packet";
import { parseAddress } from "../../core/address.ts";

export const TYPE_A = 1;
const TYPE_CNAME = 5;
const TYPE_SOA = 6;
export const TYPE_AAAA = 28;
const TYPE_DNAME = 39;

/** What we can take in one datagram without fragments (RFC 9715 §3.1). */
const UDP_PAYLOAD = 1_232;
/** RFC 1035 §4.1.1 and RFC 8020. */
const NOERROR = 0;
const NXDOMAIN = 3;
/** RFC 2181 §8: a TTL with its first bit set counts as zero. */
const TTL_MOST = 0x7fff_ffff;

/** The names that dns-packet has for the types read here. Every other is UNKNOWN_n to it. */
const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [TYPE_A, "A"],
  [TYPE_CNAME, "CNAME"],
  [TYPE_SOA, "SOA"],
  [TYPE_AAAA, "AAAA"],
  [TYPE_DNAME, "DNAME"],
]);

export interface Question {
  /** Absolute, without its last dot. */
  readonly name: string;
  /** The type's number. */
  readonly type: number;
}

export interface ResourceRecord {
  /** In small letters, without its last dot. */
  readonly owner: string;
  /** Seconds. */
  readonly ttl: number;
  readonly data:
    | { readonly kind: "alias"; readonly target: string }
    /** A DNAME: all names below the owner are names below the target. */
    | { readonly kind: "branch"; readonly target: string }
    /** RDATA of the type that was asked for. */
    | { readonly kind: "value"; readonly octets: Uint8Array };
}

export interface Response {
  /** TC: the rest comes over TCP. */
  readonly truncated: boolean;
  /** Whether names exist as far as the answer goes; "refused" for every other code. */
  readonly status: "fine" | "no-name" | "refused";
  /** The answer section: aliases, and what was asked for. */
  readonly records: readonly ResourceRecord[];
  /** How long a denial may be kept, in seconds (RFC 2308 §5); undefined without an SOA. */
  readonly denialTtl: number | undefined;
}

/** A query for `question`, with recursion desired and EDNS(0). */
export function encodeQuery(id: number, question: Question): Uint8Array {
  return encode({
    type: "query",
    id,
    flags: 0x0100,
    questions: [{ name: question.name, type: typeName(question.type) as "A", class: "IN" }],
    additionals: [
      {
        type: "OPT",
        name: ".",
        udpPayloadSize: UDP_PAYLOAD,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      } as never,
    ],
  });
}

/** What a response to that query says; undefined if it is none. */
export function parseResponse(
  octets: Uint8Array,
  id: number,
  question: Question,
): Response | undefined {
  const truncated = octets.length > 2 && (octets[2]! & 0x02) !== 0;
  const packet = decodePacket(octets, truncated);
  if (packet === undefined || packet.id !== id || packet.type !== "response") return undefined;
  // What dns-packet leaves out of its types: the rest of the header's flags.
  const flags = packet.flags ?? 0;
  if (((flags >> 11) & 0x0f) !== 0) return undefined;
  const [asked, ...more] = packet.questions ?? [];
  if (asked === undefined || more.length > 0 || asked.class !== "IN") return undefined;
  if (asked.type !== typeName(question.type) || plainName(asked.name) !== plainName(question.name))
    return undefined;
  const code = flags & 0x0f;
  return {
    truncated,
    status: code === NOERROR ? "fine" : code === NXDOMAIN ? "no-name" : "refused",
    records: ((packet.answers ?? []) as readonly Answer[]).flatMap((answer) => {
      const record = readRecord(answer, question.type);
      return record === undefined ? [] : [record];
    }),
    denialTtl: denialTtl((packet.authorities ?? []) as readonly Answer[]),
  };
}

/** True for a name that its text carries to a server unchanged: RFC 1035 §2.3.4, ASCII. */
export function isAskable(name: string): boolean {
  return name.length <= 253 && /^[!-\-/-[\]-~]{1,63}(\.[!-\-/-[\]-~]{1,63})*$/.test(name);
}

/** Names compare without regard to case (RFC 1035 §2.3.3), and without their last dot. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** One record as dns-packet reads it; its types promise more than octets can. */
interface Answer {
  readonly name: string;
  readonly type: string;
  readonly class?: string;
  readonly ttl?: number;
  readonly data?: unknown;
}

/** The message; of one that is cut short, only what stands before the records matters. */
function decodePacket(octets: Uint8Array, truncated: boolean): DecodedPacket | undefined {
  const buffer = Buffer.from(octets);
  // The cut may lie anywhere in the records.
  if (truncated && buffer.length >= 12) buffer.fill(0, 6, 12);
  try {
    return decode(buffer);
  } catch {
    return undefined;
  }
}

function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? `UNKNOWN_${type}`;
}

function readRecord(answer: Answer, type: number): ResourceRecord | undefined {
  if (answer.class !== "IN" || typeof answer.ttl !== "number") return undefined;
  const owner = plainName(answer.name);
  const ttl = answer.ttl > TTL_MOST ? 0 : answer.ttl;
  const { data } = answer;
  if (answer.type === typeName(type)) {
    const octets = valueOctets(type, data);
    return octets && { owner, ttl, data: { kind: "value", octets } };
  }
  if (typeof data !== "string") return undefined;
  const target = plainName(data);
  if (answer.type === "CNAME") return { owner, ttl, data: { kind: "alias", target } };
  if (answer.type === "DNAME") return { owner, ttl, data: { kind: "branch", target } };
  return undefined;
}

/** A value's octets; addresses come from dns-packet as text. */
function valueOctets(type: number, data: unknown): Uint8Array | undefined {
  if (type === TYPE_A || type === TYPE_AAAA) {
    const octets = typeof data === "string" ? parseAddress(data) : undefined;
    return octets?.length === (type === TYPE_A ? 4 : 16) ? octets : undefined;
  }
  return data instanceof Uint8Array ? Uint8Array.from(data) : undefined;
}

/** RFC 2308 §5: the lesser of the SOA's own TTL and its last field. */
function denialTtl(authorities: readonly Answer[]): number | undefined {
  const soa = authorities.find(({ type }) => type === "SOA");
  if (soa === undefined || typeof soa.ttl !== "number") return undefined;
  const minimum = (soa.data as { readonly minimum?: unknown } | undefined)?.minimum;
  if (typeof minimum !== "number") return undefined;
  const ttl = Math.min(soa.ttl, minimum);
  return ttl > TTL_MOST ? 0 : ttl;
}
