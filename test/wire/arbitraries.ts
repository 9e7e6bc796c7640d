/** Generators of what travels in IGMP, MLD and AMT, with values that survive their codes. */
import fc from "fast-check";
import { type Address, type Endpoint, type Family, formatAddress } from "../../src/core/address.ts";
import { decode8, decode16 } from "../../src/wire/codes.ts";
import type { GroupRecord, MembershipMessage } from "../../src/wire/membership.ts";

/** Objects as ours are, with a prototype. */
function plain<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true });
}

/** Any address, with many zero words in IPv6. */
export function address(family: Family): fc.Arbitrary<Address> {
  if (family === 4)
    return fc.uint8Array({ minLength: 4, maxLength: 4 }).map((o) => formatAddress(o, 0, 4));
  const word = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  return fc.array(word, { minLength: 8, maxLength: 8 }).map((words) => {
    const octets = Uint8Array.from(words.flatMap((value) => [value >> 8, value & 0xff]));
    return formatAddress(octets, 0, 6);
  });
}

function group(family: Family): fc.Arbitrary<Address> {
  const length = family === 4 ? 4 : 16;
  return fc.uint8Array({ minLength: length, maxLength: length }).map((octets) => {
    octets[0] = family === 4 ? 0xe0 | (octets[0]! & 0x0f) : 0xff;
    return formatAddress(octets, 0, family);
  });
}

function sources(family: Family): fc.Arbitrary<Address[]> {
  return fc.array(address(family), { maxLength: 12 });
}

export function records(family: Family): fc.Arbitrary<GroupRecord[]> {
  const kind = fc.constantFrom("is-in", "is-ex", "to-in", "to-ex", "allow", "block");
  return fc.array(plain({ kind, group: group(family), sources: sources(family) }), {
    maxLength: 12,
  });
}

/** Every kind and generation that the family has. */
export function message(family: Family): fc.Arbitrary<MembershipMessage> {
  const g = group(family);
  const some = fc.option(g, { nil: undefined });
  const code8 = fc.integer({ min: 0, max: 0xff });
  const maxResponse =
    family === 4
      ? code8.map((code) => decode8(code) * 100)
      : fc.integer({ min: 0, max: 0xffff }).map(decode16);
  const old = {
    kind: fc.constant("query" as const),
    group: some,
    sources: fc.constant([]),
    suppress: fc.constant(false),
    robustness: fc.constant(0),
    queryInterval: fc.constant(0),
  };
  const both: fc.Arbitrary<MembershipMessage>[] = [
    plain({
      kind: fc.constant("query" as const),
      generation: fc.constant(3 as const),
      group: some,
      sources: sources(family),
      maxResponse,
      suppress: fc.boolean(),
      robustness: fc.integer({ min: 0, max: 7 }),
      queryInterval: code8.map((code) => decode8(code) * 1000),
    }),
    plain({
      ...old,
      generation: fc.constant(2 as const),
      maxResponse:
        family === 4
          ? fc.integer({ min: 1, max: 255 }).map((tenths) => tenths * 100)
          : fc.integer({ min: 0, max: 0xffff }),
    }),
    plain({
      kind: fc.constant("report" as const),
      generation: fc.constant(3 as const),
      records: records(family),
    }),
    plain({
      kind: fc.constant("join" as const),
      generation: fc.constant(2 as const),
      group: g,
    }),
    plain({
      kind: fc.constant("leave" as const),
      generation: fc.constant(2 as const),
      group: g,
    }),
  ];
  if (family === 6) return fc.oneof(...both);
  return fc.oneof(
    ...both,
    plain({
      ...old,
      generation: fc.constant(1 as const),
      maxResponse: fc.constant(10_000),
    }),
    plain({
      kind: fc.constant("join" as const),
      generation: fc.constant(1 as const),
      group: g,
    }),
  );
}

export const family: fc.Arbitrary<Family> = fc.constantFrom(4, 6);
export const nonce = fc.integer({ min: 0, max: 0xffffffff });
export const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });

/**
 * An endpoint that can be one: its IPv4 address is not in 0.0.0.0/8, and its IPv6 address is not the
 * IPv4-compatible form of any other (deprecated by RFC 4291 §2.5.5.1).
 */
export const endpoint: fc.Arbitrary<Endpoint> = plain({
  address: fc.oneof(
    address(4).filter((text) => !text.startsWith("0.")),
    address(6).filter((text) => !/^::[0-9a-f]{3,4}:[0-9a-f]+$/.test(text)),
  ),
  port: fc.integer({ min: 0, max: 0xffff }),
});
