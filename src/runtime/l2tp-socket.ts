/** The sockets of one local L2TP endpoint, one for each lane: UDP, or raw IP of protocol 115. */
import { L2TP_PROTOCOL, PORT_IPV4, PORT_IPV6, PORT_UDP } from "../../assembly/layout/l2tp.ts";
import { familyOf, type Endpoint } from "../core/address.ts";
import { OsError } from "../core/errors.ts";
import type { Spread } from "../core/spread.ts";
import { close } from "../os/libc.ts";
import { openRawIp, type RawIpOptions } from "../os/raw-ip.ts";
import { chooseLane, takeLane } from "../os/steering.ts";
import { openUdpGroup, readPathMtu, sendDatagram } from "../os/udp.ts";
import type { SocketEntry } from "../protocols/l2tp/registry.ts";
import type { TunnelSettings } from "../protocols/l2tp/settings.ts";

/** Octets of kernel buffer: for a burst of a few hundred trains of 64 KiB each way. */
const BUFFER = 16 * 1024 * 1024;
/** The MTU of a path that routing knows nothing of. */
const USUAL_MTU = 1500;
/** Stands before a control message over IP, where data has a session identifier. */
const CONTROL_MARK = 4;

export class L2tpSocket {
  /** By the number of their lane. */
  readonly fds: readonly number[];
  /** PORT_*. */
  readonly kind: number;
  /** True when one message can be many datagrams. */
  readonly trains: boolean;

  /** Throws OsError. */
  constructor(
    readonly entry: SocketEntry,
    lanes: number,
  ) {
    const { local, udp, ttl, dontFragment, spread } = entry;
    const family = familyOf(local.address);
    const isV4 = family === 4;
    const options = {
      dontFragment,
      trafficClass: true,
      ...(ttl === undefined ? {} : { ttl }),
      receiveBuffer: BUFFER,
      sendBuffer: BUFFER,
    };
    this.kind = udp ? PORT_UDP : isV4 ? PORT_IPV4 : PORT_IPV6;
    try {
      if (udp) {
        const sockets = openUdpGroup(
          {
            ...options,
            local,
            // The kernel joins datagrams of different sessions, too.
            gro: lanes === 1 || spread === "tunnels",
            zeroChecksum: !entry.checksumWanted,
            sendZeroChecksum: !entry.checksumSent,
          },
          lanes,
          chooseLane(family, spread, lanes),
        );
        this.fds = sockets.map(({ fd }) => fd);
        // The kernel computes the checksums of a train's datagrams, or makes no train.
        this.trains = sockets[0]!.gso && entry.checksumSent;
      } else {
        this.fds = openRaw({ ...options, local: local.address }, spread, lanes);
        this.trains = false;
      }
    } catch (error) {
      throw mended(error, local);
    }
  }

  /** Sends a control message; what the system refuses is repeated by the protocol. */
  sendControl(octets: Uint8Array, peer: Endpoint): void {
    if (this.entry.udp) {
      sendDatagram(this.fds[0]!, octets, peer);
      return;
    }
    const marked = new Uint8Array(CONTROL_MARK + octets.length);
    marked.set(octets, CONTROL_MARK);
    sendDatagram(this.fds[0]!, marked, peer);
  }

  close(): void {
    for (const fd of this.fds) close(fd);
  }
}

/** Opens raw sockets, of which each takes its lane's part. Throws OsError. */
function openRaw(
  options: Omit<RawIpOptions, "protocol" | "filter">,
  spread: Spread,
  lanes: number,
): number[] {
  const fds: number[] = [];
  const whole = { ...options, protocol: L2TP_PROTOCOL };
  const family = familyOf(options.local);
  try {
    for (let lane = 0; lane < lanes; lane++) {
      const filter = takeLane(family, spread, lanes, lane);
      fds.push(openRawIp(lanes === 1 ? whole : { ...whole, filter }).fd);
    }
    return fds;
  } catch (error) {
    for (const fd of fds) close(fd);
    throw error;
  }
}

/** The MTU of the path to a tunnel's peer. */
export function pathMtu(tunnel: TunnelSettings): number {
  if (tunnel.pathMtu !== undefined) return tunnel.pathMtu;
  const to = { address: tunnel.remote, port: tunnel.remotePort || 1 };
  return readPathMtu(tunnel.local, to) ?? USUAL_MTU;
}

function mended(error: unknown, { address }: Endpoint): unknown {
  if (!(error instanceof OsError) || error.errno !== "EADDRNOTAVAIL") return error;
  const mend = `local: expected an address that an interface of this host has, got ${address}`;
  return new OsError(error.call, error.errno, error.subject, mend);
}
