/**
 * Steers L2TP's packets to lanes: a program of the kernel's picks the socket as `spread` picks the
 * lane. Control messages, and what is too short to tell, go to the first lane.
 */
import {
  L2TP_CONTROL,
  L2TP_LENGTH,
  L2TP_V2,
  L2TP_VERSION_MASK,
} from "../../assembly/layout/l2tp.ts";
import { IPV4_SOURCE, IPV6_SOURCE } from "../../assembly/layout/ip.ts";
import type { Family } from "../core/address.ts";
import { SPREAD_FACTOR, SPREAD_SHIFT, type Spread } from "../core/spread.ts";
import * as bpf from "./bpf.ts";
import type { Instruction } from "./bpf.ts";

type Label = "first" | "hash" | "short" | "take" | "drop";
type Step = bpf.Step<Label>;

const ALL = 0xffffffff;

/** The program that chooses among the sockets of a UDP endpoint, one for each lane. */
export function chooseLane(family: Family, by: Spread, lanes: number): Instruction[] {
  return bpf.assemble<Label>([
    { code: bpf.LOAD_HALF, value: 0 },
    { code: bpf.IF_SET, value: L2TP_CONTROL, yes: "first" },
    ...(by === "sessions" ? UDP_SESSION : family === 4 ? [...PORT_4, ...source(4)] : source(6)),
    ...hash(lanes),
    { code: bpf.RETURN_A, value: 0 },
    { code: bpf.RETURN, value: 0, label: "first" },
  ]);
}

/** The filter of lane `lane`'s raw socket, all of which the kernel gives every packet. */
export function takeLane(family: Family, by: Spread, lanes: number, lane: number): Instruction[] {
  // With IPv4 the octets begin with the header, with IPv6 after all headers.
  const start: readonly Step[] = [
    { code: bpf.LOAD_X_HEADER, value: 0 },
    { code: bpf.LOAD_LENGTH, value: 0 },
    { code: bpf.SUBTRACT_X, value: 0 },
  ];
  return bpf.assemble<Label>([
    ...(family === 4 ? start : [{ code: bpf.LOAD_LENGTH, value: 0 }]),
    { code: bpf.IF_GREATER, value: 3, no: "first" },
    { code: family === 4 ? bpf.LOAD_WORD_AT_X : bpf.LOAD_WORD, value: 0 },
    { code: bpf.IF_EQUAL, value: 0, yes: "first" },
    ...(by === "sessions" ? [] : [...NO_PORT, ...source(family)]),
    ...hash(lanes),
    { code: bpf.IF_EQUAL, value: lane, yes: "take", no: "drop" },
    { code: bpf.RETURN, value: lane === 0 ? ALL : 0, label: "first" },
    { code: bpf.RETURN, value: ALL, label: "take" },
    { code: bpf.RETURN, value: 0, label: "drop" },
  ]);
}

/** The session identifier; of version 2, which may have a Length before it, with the tunnel's. */
const UDP_SESSION: readonly Step[] = [
  { code: bpf.AND, value: L2TP_LENGTH | L2TP_VERSION_MASK },
  { code: bpf.IF_EQUAL, value: L2TP_V2, yes: "short" },
  { code: bpf.LOAD_WORD, value: 4 },
  { code: bpf.IF_EQUAL, value: 0, yes: "hash", no: "hash" },
  { code: bpf.LOAD_WORD, value: 2, label: "short" },
];

/** X becomes the source port. */
const PORT_4: readonly Step[] = [
  { code: bpf.LOAD_BYTE, value: bpf.NETWORK },
  { code: bpf.AND, value: 0x0f },
  { code: bpf.SHIFT_LEFT, value: 2 },
  { code: bpf.TO_X, value: 0 },
  { code: bpf.LOAD_HALF_AT_X, value: bpf.NETWORK },
  { code: bpf.TO_X, value: 0 },
];

const NO_PORT: readonly Step[] = [{ code: bpf.SET_X, value: 0 }];

/** A becomes the exclusive or of X, over IPv4, and the source address's words. */
function source(family: Family): Step[] {
  const first = bpf.NETWORK + (family === 4 ? IPV4_SOURCE : IPV6_SOURCE);
  const words = family === 4 ? [first] : [first, first + 4, first + 8, first + 12];
  return words.flatMap((value, i): Step[] => [
    ...(i > 0 ? [{ code: bpf.TO_X, value: 0 }] : []),
    { code: bpf.LOAD_WORD, value },
    ...(i > 0 || family === 4 ? [{ code: bpf.XOR_X, value: 0 }] : []),
  ]);
}

function hash(lanes: number): Step[] {
  return [
    { code: bpf.MULTIPLY, value: SPREAD_FACTOR, label: "hash" },
    { code: bpf.SHIFT_RIGHT, value: SPREAD_SHIFT },
    { code: bpf.REMAINDER, value: lanes },
  ];
}
