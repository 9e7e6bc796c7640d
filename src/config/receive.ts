/** The configuration of the receiver: one stream through AMT, without a device or privilege. */
import type { z } from "zod";
import { amtUrl, count, output, seconds, toggle } from "./field.ts";
import { relayFields, relayRules } from "./relays.ts";
import type { System } from "./system.ts";

const fields = {
  url: amtUrl({
    positional: true,
    help: "the stream: its source unless any will do, its group and its UDP port",
  }),
  ...relayFields,
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
  oneOf: [],
  needs: {},
  below: {},
  ...relayRules,
} as const satisfies System;

/** A receiver's settings: endpoints parsed, durations in milliseconds. */
export type ReceiveConfig = z.output<z.ZodObject<typeof fields>>;
