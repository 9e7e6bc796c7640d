/** The configuration of an AMT gateway (RFC 7450 §5.2): fields, defaults and limits. */
import type { z } from "zod";
import { count, interfaceName, localEndpoint, prefixes, remoteEndpoint, toggle } from "./field.ts";
import { AMT_PORT } from "./relay.ts";
import type { ExactlyOne, System } from "./system.ts";

const fields = {
  local: localEndpoint({
    port: 0,
    help: "the address, and the port if one must be fixed, towards the relay; 0.0.0.0 or :: leaves it to routing, in the family of the relay",
    driver: "local, gateway_port",
  }),
  relay: remoteEndpoint({
    port: AMT_PORT,
    optional: true,
    help: `the relay to use, without discovery; port ${AMT_PORT} if left out`,
    driver: "relay_port",
  }),
  discovery: remoteEndpoint({
    port: AMT_PORT,
    optional: true,
    help: "the address at which to discover a relay (RFC 7450 §5.2.3.4), often an anycast one",
    driver: "discovery, relay_port",
  }),
  tun: interfaceName({
    optional: true,
    help: "the layer-3 device to create, on which this host's applications join",
  }),
  tap: interfaceName({
    optional: true,
    help: "the Ethernet device to create, which a bridge can take as a port",
  }),
  address: prefixes({ optional: true, help: "addresses to give to the device" }),
  quirks: toggle({
    fallback: "on",
    help: "ask relays that do not answer as such as Linux's driver understand",
  }),
  lanes: count({ fallback: 1, min: 1, max: 64, help: "packet threads" }),
};

export const gateway = {
  role: "gateway",
  section: "gateways",
  fields,
  oneOf: [
    ["relay", "discovery"],
    ["tun", "tap"],
  ],
  needs: {},
  below: {},
  oneFamily: { local: ["relay", "discovery"] },
} as const satisfies System;

type Values = z.output<z.ZodObject<typeof fields>>;

/** A gateway's settings: endpoints parsed. */
export type GatewayConfig = Omit<Values, "relay" | "discovery" | "tun" | "tap"> &
  ExactlyOne<Values, "relay" | "discovery"> &
  ExactlyOne<Values, "tun" | "tap">;
