/** What the figures of each suite are held against, and where the rest goes. */

export interface Limit {
  readonly against: string;
  readonly rest: string;
}

export const LIMITS: Readonly<Record<string, Limit>> = {
  engines: {
    against: "the reference engine, plain TypeScript",
    rest: "copies into the core's memory and out of it; for short packets the call itself",
  },
  core: {
    against: "the reference, and nanoseconds that are asked for",
    rest: "memory: a lookup among a million routes waits for it",
  },
  fanout: {
    against: "native: a C program that sends, and does nothing else",
    rest: "receiving, checking, and one copy of each datagram; with few gateways the wait for the source",
  },
  dropin: {
    against: "the same loop without an engine and without a protocol",
    rest: "a system call and an event of Node for each datagram, which no engine can spare it: most of its time",
  },
  delivery: {
    against: "the kernel's VXLAN driver, which copies nothing",
    rest: "the kernel's copies into two programs and out of them, and a write to the device for each packet",
  },
  pseudowire: {
    against: "native: a C program with the same system calls, and nothing else",
    rest: "inner headers: cutting super-packets, checksums, joining what belongs together",
  },
  sessions: {
    against: "seconds that are asked for, and a stream that must lose nothing meanwhile",
    rest: "the kernel, which makes and removes a device for each session",
  },
  latency: {
    against: "a bare veth pair, and a C program in the pseudowire's place",
    rest: "waking two threads for each datagram, on cores that sleep and are shared",
  },
  profile: {
    against: "system calls: what no program over sockets can leave out",
    rest: "the core's work on packets; JavaScript between system calls, koffi's way into them included",
  },
  state: {
    against: "updates a second, memory and losses that are asked for",
    rest: "the making and checking of messages; for joins, new places in the lanes' lists",
  },
};
