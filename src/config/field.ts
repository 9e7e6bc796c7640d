/**
 * The builders of configuration fields. A field is a zod schema that reads what a file or a flag
 * holds, plus a row of documentation; the flags, the validation and the reference page come from
 * both. Read `relay.ts` for how they are used.
 */
import { z } from "zod";
import type { Address, Endpoint } from "../core/address.ts";
import {
  canBeAdvertised,
  endpointText,
  familyOf,
  formatAddress,
  isLoopback,
  isUnspecified,
  parseAddress,
} from "../core/address.ts";
import type { Millis } from "../core/machine.ts";
import { canonicalPrefix } from "../core/prefix.ts";
import {
  isTunnelEnd,
  parseAmtUrl,
  parseEndpoint,
  parseOutput,
  parsePrefix,
  type AmtUrl,
  type Output,
} from "./endpoint.ts";
import {
  PROCESSORS_MAX,
  readProcessors,
  toInteger,
  toNumber,
  wholeNumber,
  type Range,
  type Reading,
} from "./reading.ts";

/** What the writer of a system says about a field. */
export interface FieldOptions {
  /** One sentence for the flag list and the reference page. */
  readonly help: string;
  /** What an absent key means, as an operator would write it. */
  readonly fallback?: string | number;
  /** True if the key may be absent and then means nothing. */
  readonly optional?: true;
  /** The Linux driver's names for the same thing. */
  readonly driver?: string;
  /** A one-letter flag beside the long one. */
  readonly short?: string;
  /** What the flag means without a value, as an operator would write it. */
  readonly bare?: string;
  /** True if the command takes it as an argument, without a flag. */
  readonly positional?: true;
}

/** Everything about a field that is not its value. */
export interface FieldDoc extends FieldOptions {
  /** What stands for the value in usage: "ADDR[:PORT]". */
  readonly takes: string;
  /** What a good value is, as in "expected ..., got ...". */
  readonly expected: string;
  /** True for a list; its flag may be repeated. */
  readonly list: boolean;
}

/** The documentation of every field, by its schema. */
export const fieldDocs = z.registry<FieldDoc>();

/** A field of outer type `T`: absent means undefined only if the options say so. */
type FieldOf<O extends FieldOptions, T> = O extends { optional: true }
  ? z.ZodOptional<z.ZodType<T>>
  : z.ZodType<T>;

/** A whole number within a range. */
export function count<const O extends FieldOptions & Range>(options: O): FieldOf<O, number> {
  return field(options, wholeNumber("N", "a whole number", options));
}

/** A whole number within a range, or "auto" for what suits the host. */
export function wholeOrAuto<const O extends FieldOptions & Range>(
  options: O,
): FieldOf<O, number | "auto"> {
  const number = wholeNumber("N", "a whole number", options);
  return field(options, {
    takes: "N|auto",
    expected: `${number.expected}, or auto`,
    read: (input) => (input === "auto" ? input : number.read(input)),
  });
}

/** Numbers of processors, as the kernel writes a list of them: 1-3,6. */
export function processors<const O extends FieldOptions>(
  options: O,
): FieldOf<O, readonly number[]> {
  return field(options, {
    takes: "CPUS",
    expected: `numbers of processors from 0 to ${PROCESSORS_MAX - 1}, as 1-3,6`,
    read: (input) => readProcessors(String(input)),
  });
}

/** A protocol's version. */
export function version<const O extends FieldOptions & Range>(options: O): FieldOf<O, number> {
  return field(options, wholeNumber("VERSION", "a version", options));
}

/** A length in octets. */
export function octets<const O extends FieldOptions & Range>(options: O): FieldOf<O, number> {
  return field(options, wholeNumber("OCTETS", "a whole number of octets", options));
}

/** A rate in kilobits a second. */
export function kilobits<const O extends FieldOptions & Range>(options: O): FieldOf<O, number> {
  return field(options, wholeNumber("KBITS", "a whole number of kilobits a second", options));
}

/** A duration: seconds outside, to the millisecond; milliseconds inside. */
export function seconds<const O extends FieldOptions & Range>(options: O): FieldOf<O, Millis> {
  return field(options, {
    takes: "SECONDS",
    expected: `a number of seconds from ${options.min} to ${options.max}`,
    read: (input) => {
      const value = toNumber(input);
      if (value === undefined || value < options.min || value > options.max) return undefined;
      return Math.round(value * 1000);
    },
  });
}

/** A switch: "on" or "off", or true or false in a file. */
export function toggle<const O extends FieldOptions>(options: O): FieldOf<O, boolean> {
  return field(options, {
    takes: "on|off",
    expected: "on or off",
    read: (input) => {
      if (input === "on" || input === true) return true;
      return input === "off" || input === false ? false : undefined;
    },
  });
}

/** One of a few words. */
export function choice<const O extends FieldOptions & { readonly words: readonly string[] }>(
  options: O,
): FieldOf<O, O["words"][number]> {
  const { words } = options;
  return field(options, {
    takes: words.join("|"),
    expected: `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
    read: (input) => words.find((word) => word === String(input)),
  });
}

/** A number that names something: in decimal, or in hexadecimal after 0x; never zero. */
export function identifier<const O extends FieldOptions>(options: O): FieldOf<O, number> {
  return field(options, {
    takes: "ID",
    expected: "a number from 1 to 4294967295",
    read: (input) => {
      const value = toInteger(input);
      return value !== undefined && value >= 1 && value <= 0xffff_ffff ? value : undefined;
    },
  });
}

/** The cookie of an L2TPv3 session (RFC 3931 §4.1): 4 or 8 octets, or 0 for none. */
export function cookie<const O extends FieldOptions>(options: O): FieldOf<O, Uint8Array> {
  return field(options, {
    takes: "HEX",
    // YAML reads digits alone as a number and loses its leading zeros.
    expected: "8 or 16 hexadecimal digits, in quotes in a file, or none",
    read: (input) => {
      if (input === "none") return new Uint8Array(0);
      return typeof input === "string" && /^([0-9a-fA-F]{8}){1,2}$/.test(input)
        ? Uint8Array.from(Buffer.from(input, "hex"))
        : undefined;
    },
  });
}

/** A traffic class, or "inherit" for that of the packet inside. */
export function trafficClass<const O extends FieldOptions>(
  options: O,
): FieldOf<O, number | "inherit"> {
  return field(options, {
    takes: "N|inherit",
    expected: "a traffic class from 0 to 255, also as 0xb8, or inherit",
    read: (input) => {
      if (input === "inherit") return "inherit";
      const value = toInteger(input);
      return value !== undefined && value <= 255 ? value : undefined;
    },
  });
}

/** The name of a network namespace, as `ip netns` knows it. */
export function namespace<const O extends FieldOptions>(options: O): FieldOf<O, string> {
  return field(options, {
    takes: "NAME",
    expected: "the name of a network namespace, without a slash",
    read: (input) =>
      typeof input === "string" && /^[^/\0]{1,255}$/.test(input) && !/^\.\.?$/.test(input)
        ? input
        : undefined,
  });
}

/** The name of a network interface. */
export function interfaceName<const O extends FieldOptions>(options: O): FieldOf<O, string> {
  return field(options, INTERFACE_NAME);
}

/** A list of different network interfaces. */
export function interfaceNames<const O extends FieldOptions>(
  options: O,
): FieldOf<O, [string, ...string[]]> {
  return listField(options, INTERFACE_NAME, (name) => name) as FieldOf<O, [string, ...string[]]>;
}

const INTERFACE_NAME: Reading<string> = {
  takes: "NAME",
  expected: "an interface name of 1 to 15 characters",
  read: (input) =>
    typeof input === "string" && /^[^\s/:]{1,15}$/.test(input) && !/^\.\.?$/.test(input)
      ? input
      : undefined,
};

/** A path of the file system that a Unix socket can be bound to. */
export function socketPath<const O extends FieldOptions>(options: O): FieldOf<O, string> {
  return field(options, {
    takes: "PATH",
    expected: "a path of 1 to 107 octets",
    read: (input) =>
      typeof input === "string" &&
      input !== "" &&
      !input.includes("\0") &&
      new TextEncoder().encode(input).length <= 107
        ? input
        : undefined,
  });
}

/** A path of the file system. */
export function filePath<const O extends FieldOptions>(options: O): FieldOf<O, string> {
  return field(options, {
    takes: "FILE",
    expected: "the path of a file",
    read: (input) =>
      typeof input === "string" && input !== "" && !input.includes("\0") ? input : undefined,
  });
}

/** A list of different endpoints of this host, no wildcards; port 0 lets the system choose. */
export function localEndpoints<const O extends FieldOptions & { readonly port: number }>(
  options: O,
): FieldOf<O, [Endpoint, ...Endpoint[]]> {
  const reading = endpoint(options.port, THIS_HOST, (_, octets) => isTunnelEnd(octets));
  return listField(options, reading, endpointText) as FieldOf<O, [Endpoint, ...Endpoint[]]>;
}

/** Endpoints of this host or wildcards, at most one for each family. */
export function gatewayEndpoints<const O extends FieldOptions & { readonly port: number }>(
  options: O,
): FieldOf<O, Endpoint[]> {
  return listField(options, ownOrAny(options.port), ({ address }) => `${familyOf(address)}`, {
    once: "one for each family",
  });
}

/** An endpoint of another host. */
export function remoteEndpoint<const O extends FieldOptions & { readonly port: number }>(
  options: O,
): FieldOf<O, Endpoint> {
  return field(options, otherHost(options.port));
}

/** Different endpoints of other hosts, in order. */
export function remoteEndpoints<const O extends FieldOptions & { readonly port: number }>(
  options: O,
): FieldOf<O, Endpoint[]> {
  return listField(options, otherHost(options.port), endpointText);
}

/** An endpoint of this host or a wildcard; port 0 lets the system choose. */
function ownOrAny(port: number): Reading<Endpoint> {
  return endpoint(
    port,
    THIS_HOST,
    (at, octets) => isUnspecified(at.address) || isTunnelEnd(octets),
  );
}

function otherHost(port: number): Reading<Endpoint> {
  return endpoint(
    port,
    "a unicast IPv4 or IPv6 address that is not link-local",
    (at, octets) => at.port !== 0 && isTunnelEnd(octets),
  );
}

/** A DNS server, or those that the host itself uses. */
export function dnsServer<const O extends FieldOptions>(
  options: O,
): FieldOf<O, Endpoint | typeof SYSTEM_DNS> {
  const reading = endpoint(
    DNS_PORT,
    "",
    (at, octets) => at.port !== 0 && (isTunnelEnd(octets) || isLoopback(at.address)),
  );
  return field(options, {
    takes: "SERVER",
    expected: `${SYSTEM_DNS}, or a server's address, or ADDR:PORT with IPv6 in brackets`,
    read: (input) => (input === SYSTEM_DNS ? SYSTEM_DNS : reading.read(input)),
  });
}

/** The UDP and TCP port of DNS servers (RFC 1035 §4.2). */
const DNS_PORT = 53;
/** The servers that the host itself uses. */
const SYSTEM_DNS = "system";

/** A list of UDP ports. */
export function ports<const O extends FieldOptions>(options: O): FieldOf<O, number[]> {
  return listField(options, wholeNumber("PORT", "a UDP port", { min: 1, max: 65_535 }));
}

/** A unicast address. */
export function address<const O extends FieldOptions>(options: O): FieldOf<O, Address> {
  return field(
    options,
    unicast("a unicast IPv4 or IPv6 address that is not link-local", isTunnelEnd),
  );
}

/** A list of addresses that gateways on other hosts take for a relay's. */
export function advertisedAddresses<const O extends FieldOptions>(
  options: O,
): FieldOf<O, Address[]> {
  return listField(
    options,
    unicast(
      "a unicast IPv4 or IPv6 address that other hosts can reach, neither loopback nor link-local",
      (octets, text) => canBeAdvertised(octets) && !isLoopback(text),
    ),
  );
}

function unicast(
  expected: string,
  accepts: (octets: Uint8Array, text: Address) => boolean,
): Reading<Address> {
  return {
    takes: "ADDR",
    expected,
    read: (input) => {
      const octets = typeof input === "string" ? parseAddress(input) : undefined;
      if (octets === undefined) return undefined;
      const text = formatAddress(octets, 0, octets.length === 4 ? 4 : 6);
      return accepts(octets, text) ? text : undefined;
    },
  };
}

/** A list of prefixes that addresses are matched with. */
export function networks<const O extends FieldOptions>(options: O): FieldOf<O, string[]> {
  return listField(options, {
    takes: "PREFIX",
    expected: "a prefix with no bits set behind its length, as 232.0.0.0/8, or an address",
    read: (input) => (typeof input === "string" ? canonicalPrefix(input) : undefined),
  });
}

/** A list of interface addresses with their prefix lengths. */
export function prefixes<const O extends FieldOptions>(options: O): FieldOf<O, string[]> {
  return listField(options, {
    takes: "ADDR/LENGTH",
    expected: "an address with its prefix length, as 192.0.2.9/24",
    read: (input) => (typeof input === "string" ? parsePrefix(input) : undefined),
  });
}

/** A stream: source, group and port. */
export function amtUrl<const O extends FieldOptions>(options: O): FieldOf<O, AmtUrl> {
  return field(options, {
    takes: "URL",
    expected:
      "amt://SOURCE@GROUP:PORT or, outside the source-specific ranges, amt://GROUP:PORT," +
      " with a group that routers forward and IPv6 addresses in brackets",
    read: (input) => (typeof input === "string" ? parseAmtUrl(input) : undefined),
  });
}

/** Where payloads go. */
export function output<const O extends FieldOptions>(options: O): FieldOf<O, Output> {
  return field(options, {
    takes: "WHERE",
    expected: "a file, - for standard output, or udp://ADDR:PORT",
    read: (input) => (typeof input === "string" ? parseOutput(input) : undefined),
  });
}

/** What endpoints of this host are; link-local addresses mean nothing without an interface. */
const THIS_HOST = "an IPv4 or IPv6 address of this host that is not link-local";

function endpoint(
  port: number,
  what: string,
  accepts: (at: Endpoint, octets: Uint8Array) => boolean,
): Reading<Endpoint> {
  return {
    takes: "ADDR[:PORT]",
    expected: `${what}, or ADDR:PORT with IPv6 in brackets`,
    read: (input) => {
      const at = typeof input === "string" ? parseEndpoint(input, port) : undefined;
      return at !== undefined && accepts(at, parseAddress(at.address)!) ? at : undefined;
    },
  };
}

function field<const O extends FieldOptions, T>(options: O, reading: Reading<T>): FieldOf<O, T> {
  return finish(options, schemaOf(reading), reading, false);
}

/** A list of values; `key`, where given, must differ from value to value, as `once` says. */
function listField<const O extends FieldOptions, T>(
  options: O,
  reading: Reading<T>,
  key?: (value: T) => string,
  { once } = { once: "each one only once" },
): FieldOf<O, T[]> {
  const one = schemaOf(reading);
  // One value may stand for a list of one, so that a file reads as a flag does.
  const list = z
    .unknown()
    .transform((input) => (Array.isArray(input) ? input : [input]))
    .pipe(z.array(one).min(1, `${reading.expected}, at least one`));
  if (key === undefined) return finish(options, list, reading, true);
  const different = list.superRefine((values, context) => {
    const keys = values.map(key);
    for (const [i, text] of keys.entries())
      if (keys.indexOf(text) < i) context.addIssue({ code: "custom", message: once, path: [i] });
  });
  return finish(options, different, reading, true);
}

function schemaOf<T>(reading: Reading<T>): z.ZodType<T> {
  return z.unknown().transform((input, context): T => {
    const value =
      typeof input === "string" || typeof input === "number" || typeof input === "boolean"
        ? reading.read(input)
        : undefined;
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", message: reading.expected, input });
    return z.NEVER;
  });
}

function finish<const O extends FieldOptions, T>(
  options: O,
  schema: z.ZodType<T>,
  reading: Reading<unknown>,
  list: boolean,
): FieldOf<O, T> {
  const { takes, expected } = reading;
  let finished: z.ZodType = schema;
  if (options.optional) finished = z.optional(schema);
  else if (options.fallback !== undefined) finished = z.prefault(schema, options.fallback as never);
  finished.register(fieldDocs, { ...options, takes, expected, list });
  // The branches above are FieldOf's, which the compiler cannot follow.
  return finished as unknown as FieldOf<O, T>;
}
