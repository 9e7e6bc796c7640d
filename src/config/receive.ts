/** The configuration of the receiver: one stream through AMT, without a device or privilege. */
import type { z } from "zod";
import {
  amtUrl,
  count,
  dnsServer,
  localEndpoint,
  output,
  remoteEndpoint,
  seconds,
  toggle,
} from "./field.ts";
import { AMT_PORT } from "./relay.ts";
import type { ExactlyOne, System } from "./system.ts";

const fields = {
  url: amtUrl({
    positional: true,
    help: "the stream: its source unless any will do, its group and its UDP port",
  }),
  relay: remoteEndpoint({
    port: AMT_PORT,
    optional: true,
    help: `the relay to use, without discovery; port ${AMT_PORT} if left out`,
  }),
  discovery: remoteEndpoint({
    port: AMT_PORT,
    optional: true,
    help: "the address at which to discover a relay (RFC 7450 §5.2.3.4), often an anycast one",
  }),
  dns: dnsServer({
    optional: true,
    bare: "system",
    help: "find relays by the AMTRELAY records of the source (RFC 8777), and move on when one is lost; ask this DNS server, or those of the host",
  }),
  local: localEndpoint({
    port: 0,
    fallback: "0.0.0.0:0",
    help: "the address, and the port if one must be fixed, towards the relay; 0.0.0.0 or :: leaves it to routing, in the family of the relay",
  }),
  quirks: toggle({
    fallback: "on",
    help: "ask relays that do not answer as such as Linux's driver understand",
  }),
  output: output({
    fallback: "-",
    short: "o",
    help:
      "where the UDP payloads go: FILE, udp://ADDR:PORT, or - for standard output;" +
      " a FILE.pcapng takes the group's whole IP datagrams, of any port, as a capture",
  }),
  count: count({
    optional: true,
    min: 1,
    max: 999_999_999_999,
    help: "end after this many datagrams",
  }),
  timeout: seconds({ optional: true, min: 0.001, max: 2_000_000, help: "end after this long" }),
  portable: toggle({
    fallback: "off",
    help: "use Node's own sockets, as happens by itself where no native code loads; slower",
  }),
};

export const receive = {
  role: "receive",
  fields,
  oneOf: [["relay", "discovery", "dns"]],
  needs: {},
  below: {},
  oneFamily: { local: ["relay", "discovery"] },
} as const satisfies System;

type Values = z.output<z.ZodObject<typeof fields>>;

/** A receiver's settings: endpoints parsed, durations in milliseconds. */
export type ReceiveConfig = Omit<Values, "relay" | "discovery" | "dns"> &
  ExactlyOne<Values, "relay" | "discovery" | "dns">;
