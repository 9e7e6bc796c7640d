/** What tunnels and sessions are, once their configuration has been read. */
import type { Address } from "../../core/address.ts";
import type { Millis } from "../../core/machine.ts";
import type { Spread } from "../../core/spread.ts";

export interface TunnelSettings {
  /** Our number of the tunnel, and the peer's. */
  readonly id: number;
  readonly peerId: number;
  readonly version: 2 | 3;
  /** True over UDP, false over IP protocol 115. */
  readonly udp: boolean;
  readonly local: Address;
  readonly remote: Address;
  /** UDP ports; 0 over IP. */
  readonly localPort: number;
  readonly remotePort: number;
  /** The addresses alone tell the session (RFC 8159). */
  readonly keyed: boolean;
  /** UDP checksums are sent; and wanted, over IPv6. */
  readonly checksumSent: boolean;
  readonly checksumWanted: boolean;
  readonly tos: number | "inherit";
  readonly ttl: number | undefined;
  readonly ecn: boolean;
  readonly dontFragment: boolean;
  /** The path's MTU; what the system knows of it if undefined. */
  readonly pathMtu: number | undefined;
  /** What of its socket's is spread over lanes. */
  readonly spread: Spread;
  readonly keepalive: Millis | undefined;
  readonly keepaliveRetries: number | undefined;
}

/** Where the frames of a session come from and go to. */
export type Place =
  | {
      readonly kind: "device";
      readonly name: string;
      /** TUN: IP datagrams; TAP: Ethernet frames. */
      readonly device: "tap" | "tun";
      readonly netns: string | undefined;
      /** The device's MTU; what the headers leave of the path's if undefined. */
      readonly mtu: number | undefined;
    }
  | {
      readonly kind: "trunk";
      readonly name: string;
      readonly vlan: number;
      readonly netns: string | undefined;
    }
  | { readonly kind: "frames"; readonly path: string }
  | { readonly kind: "capture"; readonly path: string };

export interface SessionSettings {
  readonly id: number;
  readonly peerId: number;
  /** What we send; what we expect; another one that we take. 0, 4 or 8 octets. */
  readonly cookie: Uint8Array;
  readonly peerCookie: Uint8Array;
  readonly peerCookie2: Uint8Array;
  /** What is sent bears numbers; what arrives must. */
  readonly sendNumbers: boolean;
  readonly wantNumbers: boolean;
  /** Version 2: numbering is ours to decide. */
  readonly lns: boolean;
  /** SUBLAYER_*, both ways. */
  readonly sublayer: number;
  /** PW_*. */
  readonly pseudowire: number;
  readonly place: Place;
  readonly reorderTimeout: Millis;
  /** Version 2: octets of padding before what is sent. */
  readonly offset: number;
}
