// Ancillary messages whose data is a small number.
import { CMSG_DATA, CMSG_LENGTH, CMSG_LEVEL, CMSG_TYPE } from "./layout/system";

/** Octets that one takes, aligned. */
export const CMSG_ROOM: usize = CMSG_DATA + 8;

const CMSG_SHORT: u64 = CMSG_DATA + 2; // length with a u16
const CMSG_INT: u64 = CMSG_DATA + 4; // length with an i32

/** Writes an ancillary message with an i32. */
export function putCmsgInt(at: usize, level: i32, type: i32, value: u32): void {
  putCmsg(at, CMSG_INT, level, type, value);
}

/** Writes an ancillary message with a u16. */
export function putCmsgShort(at: usize, level: i32, type: i32, value: u32): void {
  putCmsg(at, CMSG_SHORT, level, type, value);
}

function putCmsg(at: usize, length: u64, level: i32, type: i32, value: u32): void {
  store<u64>(at, length, CMSG_LENGTH);
  store<i32>(at, level, CMSG_LEVEL);
  store<i32>(at, type, CMSG_TYPE);
  store<u32>(at, value, CMSG_DATA);
}
