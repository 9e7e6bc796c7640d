/**
 * What this host offers, found out by trying it: each probe opens what Culvert would open and closes
 * it again. Nothing is sent, and a device that is made for a moment stays down.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { L2TP_PROTOCOL } from "../../assembly/layout/l2tp.ts";
import { OsError } from "../core/errors.ts";
import { EINVAL, errnoName } from "./errno.ts";
import { close, koffiModule, nativeLoads } from "./libc.ts";
import { readSysctl } from "./link.ts";
import { openPacket } from "./packet.ts";
import { inNetns } from "./netns.ts";
import { openRawIp } from "./raw-ip.ts";
import { tryRing } from "./packet-ring.ts";
import { mayTakePrecedence } from "./priority.ts";
import { openTun } from "./tun.ts";
import { hasIpv6, openUdp } from "./udp.ts";

export interface Probe {
  readonly name: string;
  /** "fail": nothing works here. "warn": something is slower or not to be had. */
  readonly state: "ok" | "warn" | "fail";
  readonly detail: string;
  /** What to do about it. */
  readonly mend?: string;
}

type Finding = Omit<Probe, "name">;
type Attempt = () => Finding;

const ok = (detail: string): Finding => ({ state: "ok", detail });
const warn = (detail: string, mend?: string): Finding => ({
  state: "warn",
  detail,
  ...(mend === undefined ? {} : { mend }),
});
const fail = (detail: string, mend: string): Finding => ({ state: "fail", detail, mend });

const AMT_PORT = 2268;
const LOOPBACK = { address: "127.0.0.1", port: 0 };
/** Buffers that take a burst of some milliseconds. */
const BUFFER_WANTED = 4 << 20;

const PROBES: Readonly<Record<string, Attempt>> = {
  node: () => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    return major > 20 || (major === 20 && minor >= 19)
      ? ok(process.versions.node)
      : fail(process.versions.node, "install Node 20.19 or later");
  },
  kernel: () => {
    const [major = 0, minor = 0] = release().split(/[.-]/).map(Number);
    return major > 5 || (major === 5 && minor >= 10)
      ? ok(release())
      : warn(release(), "Culvert is tried on Linux 5.10 and later");
  },
  cores: () => {
    const cores = availableParallelism();
    return cores > 1
      ? ok(`${cores}`)
      : warn("1", "packets and control share the core; give the host a second one");
  },
  wasm: () => {
    if (!WebAssembly.validate(THREADS_MODULE))
      return fail(
        "no shared memory",
        "install Node 20.19 or later, without --no-experimental flags",
      );
    return WebAssembly.validate(SIMD_MODULE)
      ? ok("threads, SIMD")
      : warn("threads, no SIMD", "the scalar core is used; SIMD needs SSE4.1 or NEON");
  },
  koffi: () => {
    try {
      return ok(koffiModule().version);
    } catch (error) {
      const why = error instanceof Error ? error.message.split("\n", 1)[0]! : String(error);
      return warn(
        `does not load: ${why}`,
        "'culvert receive' alone works without it; reinstall with npm's --include=optional, on a" +
          " processor and C library that koffi has a binary for",
      );
    }
  },
  capabilities: () => {
    const held = capabilities();
    const missing = Object.keys(CAPABILITIES).filter((name) => !held.includes(name));
    return missing.length === 0
      ? ok(held.join(", "))
      : warn(
          `missing ${missing.join(", ")}`,
          "run as root or give them (AmbientCapabilities= in a systemd unit); " +
            "'culvert receive' needs none",
        );
  },
  precedence: () =>
    mayTakePrecedence()
      ? ok("lanes run before control")
      : warn(
          "lanes and control run as equals",
          "where they share a core, many joins can cost packets: " +
            "give CAP_SYS_NICE, or LimitNICE=-5 in a systemd unit",
        ),
  "udp-segment": () => withUdp(({ gso }) => gso, "each datagram is sent as a message of its own"),
  "udp-gro": () => withUdp(({ gro }) => gro, "each datagram is received as a message of its own"),
  tun: () => {
    const device = openTun(PROBE_DEVICE);
    close(device.fd);
    if (!device.vnetHeader) return warn("no virtio_net_hdr", "every packet is a call of its own");
    const { uso } = device.offloads;
    return uso
      ? ok("virtio_net_hdr, UDP super-packets")
      : warn("virtio_net_hdr, no UDP super-packets", "they need Linux 6.2");
  },
  "packet-socket": () => {
    const socket = openPacket({ interface: "lo", families: [4, 6], vnetHeader: true });
    close(socket.fd);
    return socket.vnetHeader
      ? ok("virtio_net_hdr")
      : warn(
          "no virtio_net_hdr",
          "switch receive offload off on the ingress: ethtool -K IFACE gro off",
        );
  },
  "packet-ring": () => {
    const { fd, vnetHeader } = openPacket({ interface: "lo", families: [4, 6], vnetHeader: true });
    try {
      const refusal = vnetHeader ? tryRing(fd) : -EINVAL;
      return refusal === 0
        ? ok("mapped into an arena")
        : warn(`no (${errnoName(-refusal)})`, "packets of an ingress are read by system calls");
    } finally {
      close(fd);
    }
  },
  "raw-ip": () => {
    close(openRawIp({ local: "127.0.0.1", protocol: L2TP_PROTOCOL }).fd);
    return ok("yes");
  },
  netns: () => {
    inNetns("/proc/thread-self/ns/net", () => undefined);
    return ok("can be entered");
  },
  rmem_max: () => bufferLimit("rmem_max"),
  wmem_max: () => bufferLimit("wmem_max"),
  igmp_max_memberships: () => {
    const limit = readSysctl("ipv4/igmp_max_memberships");
    if (limit === undefined) return warn("can't be read");
    return Number(limit) > 0
      ? ok(limit)
      : warn(limit, "no group can be joined: sysctl -w net.ipv4.igmp_max_memberships=20");
  },
  rp_filter: () => {
    const all = readSysctl("ipv4/conf/all/rp_filter");
    // The stricter of "all" and the device's own holds: 2 is loose, 1 strict.
    return all === "1"
      ? warn(
          "1 (strict)",
          "multicast whose source is routed elsewhere is dropped on a gateway's device: " +
            "sysctl -w net.ipv4.conf.all.rp_filter=0",
        )
      : ok(all ?? "not set");
  },
  ip_forward: () =>
    readSysctl("ipv4/ip_forward") === "1"
      ? ok("1")
      : warn(
          "0",
          "only the multicast routing into 'culvert relay --tun' needs it: sysctl -w net.ipv4.ip_forward=1",
        ),
  "port-2268": () => {
    for (const address of hasIpv6() ? ["0.0.0.0", "::"] : ["0.0.0.0"])
      close(openUdp({ local: { address, port: AMT_PORT } }).fd);
    return ok("free");
  },
};

const PROBE_DEVICE = {
  name: "culvert-try%d",
  kind: "tun",
  vnetHeader: true,
  offloads: { checksum: true, uso: true },
} as const;

/** Every probe, in a fixed order. Never throws. */
export function probeHost(): Probe[] {
  return Object.entries(PROBES).map(([name, attempt]) => ({ name, ...settle(attempt) }));
}

function settle(attempt: Attempt): Finding {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof OsError) return warn(`${error.call}: ${error.errno}`, error.mend);
    return nativeLoads()
      ? warn(String(error), "this is a mistake of culvert's own, please report it")
      : warn("not tried, for want of koffi", "see koffi above");
  }
}

function withUdp(
  test: (socket: ReturnType<typeof openUdp>) => boolean,
  otherwise: string,
): Finding {
  const socket = openUdp({ local: LOOPBACK, gro: true });
  close(socket.fd);
  return test(socket) ? ok("yes") : warn("no", otherwise);
}

function bufferLimit(key: "rmem_max" | "wmem_max"): Finding {
  // The limit is the host's and can't be seen from inside a network namespace.
  const text = readSysctl(`core/${key}`);
  if (text === undefined) return ok("not visible in this network namespace");
  if (Number(text) >= BUFFER_WANTED) return ok(text);
  // With this capability the limit does not bind.
  if (capabilities().includes("CAP_NET_ADMIN")) return ok(`${text}, exceeded by CAP_NET_ADMIN`);
  return warn(text, `bursts get lost: sysctl -w net.core.${key}=${BUFFER_WANTED}`);
}

/** Bit numbers (linux/capability.h). */
const CAPABILITIES: Readonly<Record<string, number>> = {
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
};

/** Those of CAPABILITIES that this process can use now. */
function capabilities(): string[] {
  const status = readFileSync("/proc/self/status", "utf8");
  const bits = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  return Object.entries(CAPABILITIES)
    .filter(([, bit]) => (bits >> BigInt(bit)) & 1n)
    .map(([name]) => name);
}

/** A module with one function that returns `i32x4.splat(0)`. */
const SIMD_MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b], // type: () -> v128
  ...[0x03, 0x02, 0x01, 0x00], // function of that type
  ...[0x0a, 0x08, 0x01, 0x06, 0x00, 0x41, 0x00, 0xfd, 0x11, 0x0b], // i32.const 0, i32x4.splat
]);

/** A module with a shared memory and an atomic load. */
const THREADS_MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7f], // type: () -> i32
  ...[0x03, 0x02, 0x01, 0x00], // function of that type
  ...[0x05, 0x04, 0x01, 0x03, 0x01, 0x01], // memory: shared, 1 page at least and at most
  // i32.const 0, i32.atomic.load
  ...[0x0a, 0x0a, 0x01, 0x08, 0x00, 0x41, 0x00, 0xfe, 0x10, 0x02, 0x00, 0x0b],
]);
