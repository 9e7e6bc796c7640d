/**
 * rtnetlink requests (rtnetlink(7)). The kernel answers inside send(2) and goes on inside recv(2), so
 * nothing is waited for. A thread keeps one socket for the requests about its own network namespace.
 */
import { EINVAL, errnoName, osError } from "./errno.ts";
import { SOCK_RAW, close, recv, send, socket } from "./libc.ts";
import { isInOtherNetns } from "./netns.ts";
import { OsError } from "../core/errors.ts";

export const AF_NETLINK = 16;
export const NETLINK_ROUTE = 0;

// nlmsghdr
const MESSAGE_LENGTH = 0; // u32
const MESSAGE_TYPE = 4; // u16
const MESSAGE_FLAGS = 6; // u16
const MESSAGE_SEQUENCE = 8; // u32
const MESSAGE_BODY = 16;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 0x001;
const NLM_F_ACK = 0x004;
const NLM_F_DUMP_INTR = 0x010;

export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_CREATE = 0x400;

/** Larger than any message of a dump, which the kernel cuts at 32 KiB. Copied from at once. */
const ANSWER = new Uint8Array(65_536);

const align = (length: number): number => (length + 3) & ~3;

/** One rtattr, padded. */
export function attribute(type: number, payload: Uint8Array): Uint8Array {
  const octets = new Uint8Array(align(4 + payload.length));
  const view = new DataView(octets.buffer);
  view.setUint16(0, 4 + payload.length, true);
  view.setUint16(2, type, true);
  octets.set(payload, 4);
  return octets;
}

/** The rtattrs from `offset` on, by type; of a repeated type the last one counts. */
export function attributes(octets: Uint8Array, offset: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  let at = offset;
  while (at + 4 <= octets.length) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > octets.length) break;
    // The two high bits are flags.
    found.set(view.getUint16(at + 2, true) & 0x3fff, octets.subarray(at + 4, at + length));
    at += align(length);
  }
  return found;
}

/** Little-endian u32 as octets. */
export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

/** The u32 that an attribute holds; 0 without one. */
export function readU32(octets: Uint8Array | undefined): number {
  if (!octets || octets.length < 4) return 0;
  return new DataView(octets.buffer, octets.byteOffset).getUint32(0, true);
}

/**
 * Sends a request and returns the bodies of its answers. `flags` without NLM_F_REQUEST. Throws
 * OsError named `call` about `subject`.
 */
export function netlink(
  call: string,
  subject: string,
  type: number,
  flags: number,
  ...parts: Uint8Array[]
): Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.length, MESSAGE_BODY);
  const request = new Uint8Array(length);
  const view = new DataView(request.buffer);
  view.setUint32(MESSAGE_LENGTH, length, true);
  view.setUint16(MESSAGE_TYPE, type, true);
  view.setUint16(MESSAGE_FLAGS, NLM_F_REQUEST | NLM_F_ACK | flags, true);
  view.setUint32(MESSAGE_SEQUENCE, 1, true);
  let at = MESSAGE_BODY;
  for (const part of parts) {
    request.set(part, at);
    at += part.length;
  }
  // A dump that ran while something changed is asked for again.
  for (let turn = 0; turn < 8; turn++) {
    const answers = exchange(call, subject, request);
    if (answers) return answers;
  }
  throw new OsError(call, "EINTR", subject, "interfaces change too fast; try again");
}

/** The socket for the thread's own namespace, which no answer waits in. */
let kept: number | undefined;

/**
 * Calls `body` with a socket of the network namespace that the thread is in, and returns what it does.
 * `body` leaves no answer in it unless it throws.
 */
export function withSocket<T>(body: (fd: number) => T): T {
  const elsewhere = isInOtherNetns();
  const fd =
    (elsewhere ? undefined : kept) ?? socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "rtnetlink");
  kept = elsewhere ? kept : undefined;
  let done = false;
  try {
    const result = body(fd);
    done = true;
    return result;
  } finally {
    if (done && !elsewhere) kept = fd;
    else close(fd);
  }
}

/** How an exchange ended; `answers` is undefined when they are inconsistent. */
type Answered = { readonly answers: Uint8Array[] | undefined } | { readonly errno: number };

/** Undefined when the answers are inconsistent. */
function exchange(call: string, subject: string, request: Uint8Array): Uint8Array[] | undefined {
  const answered = withSocket((fd): Answered => {
    const sent = send(fd, request);
    if (sent < 0) throw osError(call, -sent, subject);
    const answers: Uint8Array[] = [];
    let consistent = true;
    for (;;) {
      const got = recv(fd, ANSWER);
      if (got < 0) throw osError(call, -got, subject, `no answer (${errnoName(-got)})`);
      const view = new DataView(ANSWER.buffer, 0, got);
      let at = 0;
      while (at + MESSAGE_BODY <= got) {
        const length = view.getUint32(at + MESSAGE_LENGTH, true);
        if (length < MESSAGE_BODY || at + length > got) throw osError(call, EINVAL, subject);
        const type = view.getUint16(at + MESSAGE_TYPE, true);
        if (view.getUint16(at + MESSAGE_FLAGS, true) & NLM_F_DUMP_INTR) consistent = false;
        if (type === NLMSG_ERROR || type === NLMSG_DONE) {
          // Both start with a negated errno; 0 is the acknowledgement.
          const error = length >= MESSAGE_BODY + 4 ? view.getInt32(at + MESSAGE_BODY, true) : 0;
          if (error < 0) return { errno: -error };
          return { answers: consistent ? answers : undefined };
        }
        answers.push(ANSWER.slice(at + MESSAGE_BODY, at + length));
        at += align(length);
      }
    }
  });
  if ("errno" in answered) throw osError(call, answered.errno, subject);
  return answered.answers;
}
