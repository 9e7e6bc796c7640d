/** The configuration of an AMT gateway (RFC 7450 §5.2): fields, defaults and limits. */
import type { z } from "zod";
import { count, interfaceName, prefixes } from "./field.ts";
import { relayFields, relayRules } from "./relays.ts";
import type { ExactlyOne, System } from "./system.ts";

const fields = {
  ...relayFields,
  tun: interfaceName({
    optional: true,
    help: "the layer-3 device to create, on which this host's applications join",
  }),
  tap: interfaceName({
    optional: true,
    help: "the Ethernet device to create, which a bridge can take as a port",
  }),
  address: prefixes({ optional: true, help: "addresses to give to the device" }),
  maxTunnels: count({
    fallback: 64,
    min: 1,
    max: 1_024,
    help: "tunnels to different relays at once, where relays are found by source",
  }),
  lanes: count({ fallback: 1, min: 1, max: 64, help: "packet threads" }),
};

export const gateway = {
  role: "gateway",
  section: "gateways",
  fields,
  oneOf: [["tun", "tap"]],
  needs: {},
  below: {},
  ...relayRules,
} as const satisfies System;

type Values = z.output<z.ZodObject<typeof fields>>;

/** A gateway's settings: endpoints parsed. */
export type GatewayConfig = Omit<Values, "tun" | "tap"> & ExactlyOne<Values, "tun" | "tap">;
