/** Programs of classic BPF (linux/filter.h): their instructions, their labels, their sockets. */
import { SOL_SOCKET } from "./buffers.ts";
import { addressOf, setsockopt } from "./libc.ts";

const SO_ATTACH_FILTER = 26;
const SO_ATTACH_REUSEPORT_CBPF = 51;

export interface Instruction {
  readonly code: number;
  /** Instructions to skip when a comparison holds, and when not. */
  readonly yes: number;
  readonly no: number;
  readonly value: number;
}

// Instruction codes: class, size or operation, mode.
export const LOAD_WORD = 0x20; // BPF_LD | BPF_W | BPF_ABS
export const LOAD_HALF = 0x28; // BPF_LD | BPF_H | BPF_ABS
export const LOAD_BYTE = 0x30; // BPF_LD | BPF_B | BPF_ABS
export const LOAD_LENGTH = 0x80; // BPF_LD | BPF_W | BPF_LEN
export const LOAD_X_HEADER = 0xb1; // BPF_LDX | BPF_B | BPF_MSH: octets of an IPv4 header
export const SET_X = 0x01; // BPF_LDX | BPF_IMM
export const LOAD_WORD_AT_X = 0x40; // BPF_LD | BPF_W | BPF_IND
export const LOAD_HALF_AT_X = 0x48; // BPF_LD | BPF_H | BPF_IND
export const LOAD_BYTE_AT_X = 0x50; // BPF_LD | BPF_B | BPF_IND
export const ADD = 0x04; // BPF_ALU | BPF_ADD | BPF_K
export const SUBTRACT_X = 0x1c; // BPF_ALU | BPF_SUB | BPF_X
export const MULTIPLY = 0x24; // BPF_ALU | BPF_MUL | BPF_K
export const AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
export const SHIFT_LEFT = 0x64; // BPF_ALU | BPF_LSH | BPF_K
export const SHIFT_RIGHT = 0x74; // BPF_ALU | BPF_RSH | BPF_K
export const REMAINDER = 0x94; // BPF_ALU | BPF_MOD | BPF_K
export const XOR_X = 0xac; // BPF_ALU | BPF_XOR | BPF_X
export const TO_X = 0x07; // BPF_MISC | BPF_TAX
export const IF_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
export const IF_GREATER = 0x25; // BPF_JMP | BPF_JGT | BPF_K
export const IF_SET = 0x45; // BPF_JMP | BPF_JSET | BPF_K
export const RETURN = 0x06; // BPF_RET | BPF_K
export const RETURN_A = 0x16; // BPF_RET | BPF_A

/** Offset of the IP header, wherever a program's octets begin (SKF_NET_OFF). */
export const NETWORK = 0xfff00000;

/** An instruction whose jumps name labels; without a label it goes on. */
export interface Step<Label extends string> {
  readonly code: number;
  readonly value: number;
  readonly yes?: Label;
  readonly no?: Label;
  readonly label?: Label;
}

/** Turns labels, which all lie ahead, into distances. A comparison without a label goes on. */
export function assemble<Label extends string>(steps: readonly Step<Label>[]): Instruction[] {
  const distance = (from: number, label: Label | undefined): number =>
    label === undefined ? 0 : steps.findIndex((step) => step.label === label) - from - 1;
  return steps.map(({ code, value, yes, no }, at) => ({
    code,
    yes: distance(at, yes),
    no: distance(at, no),
    value,
  }));
}

/** Lets only those packets come that the program takes. */
export function attachFilter(fd: number, program: readonly Instruction[], subject: string): void {
  attach(fd, SO_ATTACH_FILTER, program, `packet filter on ${subject}`);
}

/**
 * Has the program choose, for each datagram, the one of all sockets that share an endpoint with this
 * one, by their order of binding. It sees the UDP payload. A number that no socket has leaves the
 * choice to the kernel.
 */
export function attachChooser(fd: number, program: readonly Instruction[], subject: string): void {
  attach(fd, SO_ATTACH_REUSEPORT_CBPF, program, `choice among the sockets of ${subject}`);
}

function attach(
  fd: number,
  option: number,
  program: readonly Instruction[],
  subject: string,
): void {
  const octets = new Uint8Array(8 * program.length);
  const view = new DataView(octets.buffer);
  for (const [i, { code, yes, no, value }] of program.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, yes);
    view.setUint8(8 * i + 3, no);
    view.setUint32(8 * i + 4, value, true);
  }
  // sock_fprog: count, padding, address
  const descriptor = new Uint8Array(16);
  const head = new DataView(descriptor.buffer);
  head.setUint16(0, program.length, true);
  head.setBigUint64(8, BigInt(addressOf(octets)), true);
  setsockopt(fd, SOL_SOCKET, option, descriptor, subject);
}
