/** The configuration of an AMT relay (RFC 7450 §5.3): fields, defaults and limits. */
import { z } from "zod";
import {
  advertisedAddresses,
  count,
  filePath,
  interfaceName,
  interfaceNames,
  kilobits,
  localEndpoints,
  networks,
  octets,
  ports,
  seconds,
  toggle,
} from "./field.ts";
import { laneFields } from "./lanes.ts";
import type { ExactlyOne, System } from "./system.ts";

/** The UDP port of AMT relays (RFC 7450 §7). */
export const AMT_PORT = 2268;

const fields = {
  local: localEndpoints({
    port: AMT_PORT,
    help: `an endpoint that gateways reach, also advertised to them; port ${AMT_PORT} if left out`,
    driver: "local, relay_port",
  }),
  advertise: advertisedAddresses({
    optional: true,
    help: "the unicast addresses to tell in Relay Advertisements, as when `local` is anycast; `local` if left out, also for a family that is not listed",
  }),
  ingress: interfaceNames({
    optional: true,
    help: "an interface on which groups are joined and their packets taken; with several, each source of a group is taken from the one that delivers it first",
  }),
  tun: interfaceName({
    optional: true,
    help: "the device to create, into which this host's multicast routing forwards",
  }),
  ingressPorts: ports({
    optional: true,
    help: "take only these UDP ports from the ingress, by ordinary sockets; needs no privilege",
  }),
  ingressRing: toggle({
    fallback: "on",
    help: "read interfaces by packet rings of 32 MiB for each lane, where the kernel makes them; off: by system calls",
  }),
  maxTunnels: count({
    fallback: 4096,
    min: 1,
    max: 1_048_576,
    help: "gateways served at once; the Linux driver's default is 128",
    driver: "max_tunnels",
  }),
  resumeTunnels: count({
    optional: true,
    min: 0,
    max: 1_048_575,
    help: "tunnels left at which a relay that was full takes new ones again; 95 % of maxTunnels if left out",
  }),
  maxTunnelsPerAddress: count({
    fallback: 256,
    min: 1,
    max: 65_535,
    help: "gateways served behind one address, as behind a NAT",
  }),
  maxGroups: count({
    fallback: 128,
    min: 1,
    max: 65_536,
    help: "groups that one gateway may ask for; the Linux driver's fixed limit is 32",
  }),
  maxSources: count({
    fallback: 128,
    min: 1,
    max: 65_536,
    help: "sources that one gateway may list for a group; fixed at 128 in the Linux driver",
  }),
  queryInterval: seconds({
    fallback: 125,
    min: 1,
    max: 31_744,
    help: "Query Interval (RFC 3376 §8.2): how often gateways are to renew their memberships",
  }),
  queryResponseInterval: seconds({
    fallback: 10,
    min: 0.1,
    max: 3_174,
    help: "Query Response Interval (RFC 3376 §8.3): the longest delay of an answer",
  }),
  robustness: count({
    fallback: 2,
    min: 1,
    max: 7,
    help: "Robustness Variable (RFC 3376 §8.1): how many losses in a row a membership survives",
  }),
  secretInterval: seconds({
    fallback: 7_200,
    min: 1,
    max: 7_200,
    help: "age at which the secret of the Response MAC is replaced (RFC 7450 §5.3.5)",
  }),
  secretFile: filePath({
    optional: true,
    help: "holds a secret of 16 octets or more, for relays that share one anycast address: with the same secret, query interval and secret interval, and clocks that agree to within the query interval, each verifies what another has signed; a random secret if left out",
  }),
  discoveryRate: rate("Relay Discoveries", 10_000),
  discoveryRatePerAddress: ratePerAddress("Relay Discoveries", 100),
  requestRate: rate("Requests", 50_000),
  requestRatePerAddress: ratePerAddress("Requests", 1_000),
  updateRate: rate("Membership Updates and Teardowns", 50_000),
  updateRatePerAddress: ratePerAddress("Membership Updates and Teardowns", 5_000),
  allowGateways: networks({
    optional: true,
    help: "gateways that are heard, by their address; all if left out",
  }),
  denyGateways: networks({ optional: true, help: "gateways that are not heard" }),
  allowGroups: networks({
    optional: true,
    help: "groups that gateways may ask for; all if left out",
  }),
  denyGroups: networks({ optional: true, help: "groups that gateways may not ask for" }),
  allowSources: networks({
    optional: true,
    help: "sources that gateways may ask for; all if left out. With this or denySources, memberships that do not name their sources are refused",
  }),
  denySources: networks({ optional: true, help: "sources that gateways may not ask for" }),
  drain: seconds({
    fallback: 0,
    min: 0,
    max: 604_800,
    help: "how long a relay that is told to end still serves its gateways, while it takes no new ones (L, RFC 7450 §5.1.4.4); it ends sooner when all have left",
  }),
  quirks: toggle({
    fallback: "on",
    help: "serve deployed gateways that do not speak as RFC 7450 says: Linux's driver, players",
  }),
  mtu: octets({
    optional: true,
    min: 576,
    max: 65_535,
    help: "MTU towards the gateways; the interface's own if left out",
  }),
  tunnelRate: kilobits({
    optional: true,
    min: 64,
    max: 100_000_000,
    help: "what one gateway is sent at most, outer headers included; what is beyond is dropped and counted, but for bursts of 50 ms or of one train; any if left out",
  }),
  maxTrain: count({
    optional: true,
    min: 1,
    max: 64,
    help: "datagrams of a stream that leave for one gateway as one train, so that slow links get small bursts; each costs more where there are fewer; what the system takes if left out",
  }),
  pathMtuDiscovery: toggle({
    fallback: "on",
    help: "use a smaller MTU towards a gateway when ICMP tells of one (RFC 7450 §5.3.3.6.1); forgotten after ten minutes",
  }),
  leastPathMtu: octets({
    fallback: 576,
    min: 68,
    max: 65_535,
    help: "the smallest MTU towards a gateway that ICMP can bring about, so that forged messages do little; over IPv6 never less than 1280",
  }),
  ...laneFields(
    "packet threads for each endpoint, between which its gateways are divided; auto: all endpoints together one less than there are processors, at most 4 for each, and 1 with tun",
    "auto",
  ),
};

function rate(messages: string, fallback: number) {
  return count({
    fallback,
    min: 1,
    max: 100_000_000,
    help: `${messages} a second that are taken from all addresses without a tunnel together`,
  });
}

function ratePerAddress(messages: string, fallback: number) {
  return count({
    fallback,
    min: 1,
    max: 100_000_000,
    help: `${messages} a second that are taken from one address`,
  });
}

export const relay = {
  role: "relay",
  section: "relays",
  fields,
  oneOf: [["ingress", "tun"]],
  needs: { ingressPorts: ["ingress"] },
  // RFC 3376 §8.3
  below: { queryResponseInterval: "queryInterval", resumeTunnels: "maxTunnels" },
} as const satisfies System;

type Values = z.output<z.ZodObject<typeof fields>>;

/** A relay's settings: endpoints parsed, at least one; durations in milliseconds. */
export type RelayConfig = Omit<Values, "ingress" | "tun"> & ExactlyOne<Values, "ingress" | "tun">;
