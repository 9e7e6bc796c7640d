/** Names of Linux error numbers, and what an operator can do about the usual ones. */
import { constants } from "node:os";
import { OsError } from "../core/errors.ts";

const names = new Map<number, string>();
// Two names may share one number (EAGAIN and EWOULDBLOCK); the first is the usual one.
for (const [name, number] of Object.entries(constants.errno))
  if (!names.has(number)) names.set(number, name);
// Linux numbers that Node does not list.
for (const [name, number] of [
  ["ENOTBLK", 15],
  ["EBADFD", 77],
  ["EUSERS", 87],
  ["ESOCKTNOSUPPORT", 94],
  ["EPFNOSUPPORT", 96],
  ["ESHUTDOWN", 108],
  ["EHOSTDOWN", 112],
  ["EREMOTEIO", 121],
] as const)
  if (!names.has(number)) names.set(number, name);

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const ENODEV = 19;
export const EINVAL = 22;
export const EPIPE = 32;
export const EBADFD = 77;
export const EDESTADDRREQ = 89;
export const EMSGSIZE = 90;
export const EOPNOTSUPP = 95;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ENOTCONN = 107;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;

/** The name of an error number: "EPERM" for 1; "errno 9999" for one without a name. */
export function errnoName(number: number): string {
  return names.get(number) ?? `errno ${number}`;
}

/** The error number that an error of Node's own calls carries; EIO if it carries none. */
export function errorNumber(error: unknown): number {
  const number = (error as NodeJS.ErrnoException | null)?.errno;
  return typeof number === "number" && number < 0 ? -number : EIO;
}

/** What helps against the usual refusals, whatever the call. */
const MENDS: Readonly<Record<string, string>> = {
  EPERM: "run as root or give CAP_NET_ADMIN and CAP_NET_RAW",
  EACCES: "run as root or give the capability that the call needs",
  EADDRINUSE: "another program holds this address and port; stop it or choose another port",
  EADDRNOTAVAIL: "no interface of this host has this address; see 'ip address'",
  ENODEV: "there is no such interface; see 'ip link'",
  ENXIO: "there is no such interface; see 'ip link'",
  ENETDOWN: "the interface is down; set it up first",
  EMFILE: "too many open files; raise 'ulimit -n'",
  ENFILE: "the host has too many open files; raise fs.file-max",
  EAFNOSUPPORT: "this kernel lacks the address family",
};

/** The error for a failed call: `number` is the errno, `mend` goes before the usual advice. */
export function osError(call: string, number: number, subject: string, mend?: string): OsError {
  const name = errnoName(number);
  return new OsError(call, name, subject, mend ?? MENDS[name]);
}
