/**
 * Where a gateway or a receiver speaks from, and how it finds its relays: the settings that both
 * have.
 */
import type { z } from "zod";
import { dnsServer, gatewayEndpoints, remoteEndpoint, remoteEndpoints, toggle } from "./field.ts";
import { AMT_PORT } from "./relay.ts";

export const relayFields = {
  local: gatewayEndpoints({
    port: 0,
    optional: true,
    help: "the address, and the port if one must be fixed, towards relays, one for each family; 0.0.0.0 and :: leave it to routing, as if left out: in the families of the relays that are named, else in that family, or in both",
    driver: "local, gateway_port",
  }),
  relay: remoteEndpoints({
    port: AMT_PORT,
    optional: true,
    help: `a relay to use, without discovery; of several, the first that can be used; port ${AMT_PORT} if left out`,
    driver: "relay_port",
  }),
  discovery: remoteEndpoint({
    port: AMT_PORT,
    optional: true,
    help: "the address at which to discover a relay (RFC 7450 §5.2.3.4), often an anycast one; if neither relay nor discovery nor dns is given, 2001:3::1 and 192.52.193.1",
    driver: "discovery, relay_port",
  }),
  dns: dnsServer({
    optional: true,
    bare: "system",
    help: "find relays by the AMTRELAY records of each source (RFC 8777), and move on when one is lost; ask this DNS server, or those of the host; relay or discovery beside it serve sources without records, and groups without sources",
  }),
  quirks: toggle({
    fallback: "on",
    help: "ask relays that do not answer as such as Linux's driver understand",
  }),
};

/** The rules between them. */
export const relayRules = {
  notBoth: [["relay", "discovery"]],
  oneFamily: { local: ["relay", "discovery"] },
} as const;

export type RelayChoice = z.output<z.ZodObject<typeof relayFields>>;
