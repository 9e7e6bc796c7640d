/** Random filters and messages. */
import fc from "fast-check";
import type { Address, Family } from "../../src/core/address.ts";
import type { GroupFilter, MembershipMessage, RecordKind } from "../../src/wire/membership.ts";
import { NAMES } from "./support.ts";

/** Few sources, so that lists overlap. */
export const SOURCES: readonly Address[] = [1, 2, 3, 4, 5, 6].map((i) => NAMES[4].source(`s${i}`));

export const filters: fc.Arbitrary<GroupFilter> = fc.record({
  mode: fc.constantFrom("include" as const, "exclude" as const),
  sources: fc.subarray([...SOURCES]),
});

const kinds = fc.constantFrom<RecordKind>("is-in", "is-ex", "to-in", "to-ex", "allow", "block");

/** Messages as a peer may send them: sensible groups, others' groups, and what is no group at all. */
export function messages(family: Family): fc.Arbitrary<MembershipMessage> {
  const names = NAMES[family];
  const sources = [1, 2, 3, 4, 5, 6].map((i) => names.source(`s${i}`));
  const group = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(names.group, names.other, names.ssm) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        names.linkLocal,
        names.unicast,
        NAMES[family === 4 ? 6 : 4].group,
        "",
      ),
    },
  );
  // Lists off the wire may repeat a source.
  const list = fc.array(fc.constantFrom(...sources), { maxLength: 8 });
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("report" as const),
        generation: fc.constant(3 as const),
        records: fc.array(fc.record({ kind: kinds, group, sources: list }), { maxLength: 4 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("join" as const),
        generation: fc.constantFrom(1 as const, 2 as const),
        group,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("leave" as const),
        generation: fc.constant(2 as const),
        group,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("query" as const),
        generation: fc.constantFrom(1 as const, 2 as const, 3 as const),
        group: fc.option(group, { nil: undefined }),
        sources: list,
        maxResponse: fc.nat(20_000),
        suppress: fc.boolean(),
        robustness: fc.nat(7),
        queryInterval: fc.nat(200).map((s) => s * 1_000),
      }),
    },
  );
}
