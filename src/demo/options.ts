/** The options of `culvert demo`. */
import { parseArgs } from "node:util";
import { ConfigError } from "../core/errors.ts";
import { PAYLOAD_MIN } from "../lab/payload.ts";

export interface DemoOptions {
  /** Datagrams a second. */
  readonly rate: number;
  /** How long the source goes on after the last listener has joined. */
  readonly seconds: number;
  /** Octets of UDP payload. */
  readonly size: number;
  /** Plays on loopback even where namespaces can be made. */
  readonly loopback: boolean;
}

export const DEMO_HELP = `Usage: culvert demo [options]

Carries a multicast stream from a source through a relay and two gateways to two listeners, and
shows what came of it. Exit code 0: not one packet was lost.

Options:
  --rate N      datagrams a second (default 1000)
  --seconds S   how long the source sends after the last join (default 8)
  --size N      octets of each datagram (default 1316)
  --loopback    play on the loopback interface, as without root
  -h, --help    show this

Example: culvert demo --rate 5000 --seconds 5`;

/** The options in `args`; undefined when help is asked for. Throws ConfigError. */
export function parseDemo(args: readonly string[]): DemoOptions | undefined {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        rate: { type: "string", default: "1000" },
        seconds: { type: "string", default: "8" },
        size: { type: "string", default: "1316" },
        loopback: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch {
    throw new ConfigError("demo", "options that 'culvert demo --help' lists", args.join(" "));
  }
  if (values.help) return undefined;
  return {
    rate: wholeNumber("--rate", values.rate, 1, 1_000_000),
    seconds: wholeNumber("--seconds", values.seconds, 1, 3_600),
    size: wholeNumber("--size", values.size, PAYLOAD_MIN, 1_400),
    loopback: values.loopback,
  };
}

function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new ConfigError(flag, `a whole number from ${min} to ${max}`, text);
}
