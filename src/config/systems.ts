/**
 * Everything that can be configured. A new system is a schema module, a row in each of the two
 * tables below, and whatever starts it.
 */
import type { L2tpConfig } from "./l2tp.ts";
import { gateway, type GatewayConfig } from "./gateway.ts";
import { receive, type ReceiveConfig } from "./receive.ts";
import { relay, type RelayConfig } from "./relay.ts";
import type { System } from "./system.ts";

export interface ConfigOf {
  readonly relay: RelayConfig;
  readonly gateway: GatewayConfig;
  readonly receive: ReceiveConfig;
}

export type Role = keyof ConfigOf;

export const SYSTEMS: { readonly [R in Role]: System & { readonly role: R } } = {
  relay,
  gateway,
  receive,
};

/** One configured thing, ready to start. All tunnels of L2TP are one. */
export type Instance =
  | {
      [R in Role]: { readonly role: R; readonly name: string; readonly config: ConfigOf[R] };
    }[Role]
  | L2tpInstance;

export interface L2tpInstance {
  readonly role: "l2tp";
  readonly name: string;
  readonly config: L2tpConfig;
}
