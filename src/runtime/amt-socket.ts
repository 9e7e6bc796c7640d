/** The UDP sockets of one AMT endpoint, a socket for each lane. */
import { networkInterfaces } from "node:os";
import { FRAME_IP } from "../../assembly/layout/arena.ts";
import { canonicalAddress, familyOf, isLoopback, type Endpoint } from "../core/address.ts";
import type { Inlet } from "../lanes/plan.ts";
import { close } from "../os/libc.ts";
import { readLink } from "../os/link.ts";
import { openUdpGroup, sendDatagram, type UdpSocket } from "../os/udp.ts";

/** Octets of kernel buffer: for a burst of a few hundred trains of 64 KiB each way. */
const BUFFER = 16 * 1024 * 1024;

/** MTU assumed where the address does not tell the interface. */
const USUAL_MTU = 1500;

/** Octets of outer IP, UDP and AMT header (RFC 7450 §5.3.3.6.1). */
const OVERHEAD = { 4: 30, 6: 50 } as const;

/** What a gateway's control messages leave through: sockets of the families that it uses. */
export interface ControlSocket {
  readonly locals: readonly Endpoint[];
  /** Sends that the system refused. */
  readonly refused: number;
  /** Sends a control message. What the system refuses is counted: the protocol repeats it. */
  send(octets: Uint8Array, to: Endpoint): void;
  close(): void;
}

export class AmtSocket {
  readonly sockets: readonly UdpSocket[];
  readonly local: Endpoint;
  /** Sends that the system refused. */
  refused = 0;

  /**
   * Opens `lanes` sockets on `local`; the kernel spreads the peers over them. Where data is to
   * arrive, it may come in trains, and without UDP checksums over IPv6 too (RFC 6935 §5). DF is
   * always set; with `ignorePathMtu` the system heeds the MTU of its own device alone.
   */
  constructor(local: Endpoint, lanes: number, takesData: boolean, ignorePathMtu = false) {
    this.sockets = openUdpGroup(
      {
        local,
        gro: takesData,
        trafficClass: takesData,
        zeroChecksum: takesData,
        dontFragment: true,
        ignorePathMtu,
        receiveBuffer: BUFFER,
        sendBuffer: BUFFER,
      },
      lanes,
    );
    this.local = this.sockets[0]!.local;
  }

  /** True when one message can be many datagrams. */
  get gso(): boolean {
    return this.sockets.every((socket) => socket.gso);
  }

  /** Sends a control message. What the system refuses is counted: the protocol repeats it. */
  send(octets: Uint8Array, to: Endpoint): void {
    if (sendDatagram(this.sockets[0]!.fd, octets, to) < 0) this.refused++;
  }

  close(): void {
    for (const { fd } of this.sockets) close(fd);
  }
}

/** The largest inner datagram where the path's MTU is `mtu`, to or from an address like `local`. */
export function innerMtu(local: Endpoint, mtu: number): number {
  return mtu - OVERHEAD[familyOf(local.address)];
}

/** A gateway's sockets: an AMT socket for each family in which it reaches relays. */
export class GatewaySockets implements ControlSocket {
  readonly #sockets: readonly AmtSocket[];

  /** Opens one for each of `locals`. Throws OsError. */
  constructor(locals: readonly Endpoint[], lanes: number) {
    const sockets: AmtSocket[] = [];
    try {
      for (const local of locals) sockets.push(new AmtSocket(local, lanes, true));
    } catch (error) {
      for (const socket of sockets) socket.close();
      throw error;
    }
    this.#sockets = sockets;
  }

  get locals(): readonly Endpoint[] {
    return this.#sockets.map(({ local }) => local);
  }

  get refused(): number {
    return this.#sockets.reduce((sum, { refused }) => sum + refused, 0);
  }

  /** What a lane reads of them. */
  inlets(lane: number): Inlet[] {
    return this.#sockets.map(({ sockets }, i) => ({
      kind: "socket",
      fd: sockets[lane]!.fd,
      frame: FRAME_IP,
      amt: i > 0,
    }));
  }

  send(octets: Uint8Array, to: Endpoint): void {
    socketFor(this.#sockets, to)?.send(octets, to);
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }
}

/** The one of the family of `to`; undefined if there is none. */
export function socketFor<T extends { readonly local: Endpoint }>(
  sockets: readonly T[],
  to: Endpoint,
): T | undefined {
  const family = familyOf(to.address);
  return sockets.find(({ local }) => familyOf(local.address) === family);
}

/** The largest inner datagram for the interface that has this address, or for an MTU given. */
export function tunnelMtu(local: Endpoint, mtu?: number): number {
  return innerMtu(local, mtu ?? linkMtu(local));
}

function linkMtu(local: Endpoint): number {
  for (const [name, addresses] of Object.entries(networkInterfaces()))
    if (addresses?.some(({ address }) => canonicalAddress(address) === local.address)) {
      const { mtu, loopback } = readLink(name);
      // An address that is routed to the host, as anycast ones are, says nothing of the way out.
      return loopback && !isLoopback(local.address) ? USUAL_MTU : mtu;
    }
  return USUAL_MTU;
}
