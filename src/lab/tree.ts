/**
 * The laboratory's usual network, each box a namespace:
 *
 *     source eth0 ──── up0 relay br0 ──┬── eth0 gateway 1
 *     two addresses                    └── eth0 gateway 2
 */
import type { Lab, Namespace } from "./lab.ts";

export const SOURCES = ["198.51.100.1", "198.51.100.3"] as const;
export const SOURCES_6 = ["2001:db8:1::1", "2001:db8:1::3"] as const;
export const RELAY = "192.0.2.1";
export const RELAY_6 = "2001:db8:2::1";
/** A relay's further addresses. */
export const RELAY_SECOND = "192.0.2.2";
export const RELAY_SECOND_6 = "2001:db8:2::2";
export const GATEWAYS = ["192.0.2.11", "192.0.2.12"] as const;
export const GATEWAYS_6 = ["2001:db8:2::11", "2001:db8:2::12"] as const;
/** What the gateways give their devices; IPv4 listeners name a device by its address. */
export const DEVICES = ["203.0.113.1", "203.0.113.2"] as const;

export interface Tree {
  readonly source: Namespace;
  readonly relay: Namespace;
  readonly gateways: readonly [Namespace, Namespace];
}

/** Builds the network; nothing runs in it yet. */
export function buildTree(lab: Lab): Tree {
  const source = lab.namespace("source");
  const relay = lab.namespace("relay");
  const gateways = [lab.namespace("gateway1"), lab.namespace("gateway2")] as const;
  lab.connect(source, "eth0", relay, "up0");
  source.address("eth0", ...[...SOURCES].map((address) => `${address}/24`));
  source.address("eth0", ...[...SOURCES_6].map((address) => `${address}/64`));
  source.multicastRoute("eth0");
  relay.address("up0", "198.51.100.2/24", "2001:db8:1::2/64");
  for (const [i, gateway] of gateways.entries()) {
    lab.connect(gateway, "eth0", relay, `down${i}`);
    gateway.address("eth0", `${GATEWAYS[i]}/24`, `${GATEWAYS_6[i]}/64`);
  }
  relay.bridge("br0", "down0", "down1");
  for (const address of [RELAY, RELAY_SECOND]) relay.address("br0", `${address}/24`);
  for (const address of [RELAY_6, RELAY_SECOND_6]) relay.address("br0", `${address}/64`);
  return { source, relay, gateways };
}
