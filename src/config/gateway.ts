/** The configuration of an AMT gateway (RFC 7450 §5.2): fields, defaults and limits. */
import type { z } from "zod";
import { count, interfaceName, interfaceNames, prefixes, seconds, version } from "./field.ts";
import { laneFields } from "./lanes.ts";
import { relayFields, relayRules } from "./relays.ts";
import type { System } from "./system.ts";

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
  downstream: interfaceNames({
    optional: true,
    help: "an interface, a LAN, whose hosts' memberships travel to the relay too and to which data is forwarded; may stand beside a device or without one",
  }),
  queryInterval: seconds({
    fallback: 125,
    min: 1,
    max: 31_744,
    help: "Query Interval (RFC 3376 §8.2) of the querier on the device and downstream interfaces",
  }),
  queryResponseInterval: seconds({
    fallback: 10,
    min: 0.1,
    max: 3_174,
    help: "Query Response Interval (RFC 3376 §8.3) there: the longest delay of an answer",
  }),
  robustness: count({
    fallback: 2,
    min: 1,
    max: 7,
    help: "Robustness Variable (RFC 3376 §8.1) there: how many losses in a row a membership survives; with 1, none",
  }),
  lastMemberQueryInterval: seconds({
    fallback: 1,
    min: 0.1,
    max: 3_174,
    help: "Last Member Query Interval (RFC 3376 §8.8) there: how soon the rest of a group must answer after a leave",
  }),
  lastMemberQueryCount: count({
    optional: true,
    min: 1,
    max: 7,
    help: "how often they are asked (RFC 3376 §8.9); robustness if left out",
  }),
  startupQueryInterval: seconds({
    optional: true,
    min: 0.1,
    max: 31_744,
    help: "Startup Query Interval (RFC 3376 §8.6); a quarter of queryInterval if left out",
  }),
  startupQueryCount: count({
    optional: true,
    min: 1,
    max: 7,
    help: "Startup Query Count (RFC 3376 §8.7); robustness if left out",
  }),
  igmpVersion: version({
    fallback: 3,
    min: 1,
    max: 3,
    help: "version of the IGMP querier, where another router of the link is older (RFC 3376 §7.3.1)",
  }),
  mldVersion: version({
    fallback: 2,
    min: 1,
    max: 2,
    help: "version of the MLD querier, where another router of the link is older (RFC 3810 §8.3.1)",
  }),
  address: prefixes({ optional: true, help: "addresses to give to the device" }),
  maxTunnels: count({
    fallback: 64,
    min: 1,
    max: 1_024,
    help: "tunnels to different relays at once, where relays are found by source",
  }),
  ...laneFields(
    "packet threads; all that one relay sends comes to one of them, so that more serve several relays only; auto: 1",
    "auto",
  ),
};

export const gateway = {
  role: "gateway",
  section: "gateways",
  fields,
  oneOf: [],
  someOf: [["tun", "tap", "downstream"]],
  notBoth: [...relayRules.notBoth, ["tun", "tap"]],
  needs: { address: ["tun", "tap"] },
  // RFC 3376 §8.3
  below: { queryResponseInterval: "queryInterval" },
  oneFamily: relayRules.oneFamily,
} as const satisfies System;

type Values = z.output<z.ZodObject<typeof fields>>;

/** A gateway's settings: endpoints parsed. */
export type GatewayConfig = Values;
