import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEmpty } from "../../src/membership/filter.ts";
import { MembershipHost, type HostInput } from "../../src/membership/host.ts";
import { MembershipRouter, type RouterInput } from "../../src/membership/router.ts";
import type { GroupFilter } from "../../src/wire/membership.ts";
import { filters, messages } from "./arbitraries.ts";
import { NAMES, advance, drain, options, seeded, sortedFilter } from "./support.ts";

const LIMITS = { groups: 2, sources: 4, reporters: 2 };
/** Longer than any interval that a random query can set. */
const LONG = 7 * 200_000 + 3 * 20_000;

function sortedEntries(
  entries: Iterable<readonly [string, GroupFilter]>,
): Map<string, GroupFilter> {
  return new Map([...entries].map(([group, filter]) => [group, sortedFilter(filter)]));
}

for (const family of [4, 6] as const)
  for (const role of ["tracked", "querier"] as const) {
    const { host, unspecified, lower } = NAMES[family];
    const inputs: fc.Arbitrary<RouterInput> = fc.oneof(
      {
        weight: 30,
        arbitrary: fc.record({
          kind: fc.constant("message" as const),
          message: messages(family),
          from: fc.constantFrom(host(1), host(2), host(3), host(4), unspecified, lower),
        }),
      },
      { weight: 3, arbitrary: fc.constant({ kind: "timeout" } as const) },
      { weight: 1, arbitrary: fc.constant({ kind: "start" } as const) },
      { weight: 1, arbitrary: fc.constant({ kind: "clear" } as const) },
    );

    test(`any messages leave a ${role} router of IPv${family} sound, and in the end empty`, () => {
      const steps = fc.array(fc.tuple(fc.constantFrom(0, 1, 900, 40_000, 150_000), inputs), {
        maxLength: 60,
      });
      fc.assert(
        fc.property(steps, (all) => {
          const router = new MembershipRouter(options(role, family, LIMITS));
          const told = new Map<string, GroupFilter>();
          const follow = (): void => {
            for (const out of drain(router)) {
              if (out.kind !== "filter") continue;
              if (isEmpty(out.filter)) assert.ok(told.delete(out.group));
              else told.set(out.group, out.filter);
            }
            // What was told, one change after the other, is what there is.
            assert.deepEqual(sortedEntries(told), sortedEntries(router.filters()));
            assert.equal(router.groupCount, told.size);
            assert.ok(told.size <= LIMITS.groups);
            for (const { sources } of told.values()) assert.ok(sources.length <= LIMITS.sources);
          };
          let now = 0;
          for (const [pause, input] of all) {
            now += pause;
            router.handle(input, now);
            follow();
            const due = router.deadline();
            assert.ok(due === undefined || due > now);
          }
          for (const { out } of advance(router, now + LONG))
            if (out.kind === "filter" && isEmpty(out.filter)) told.delete(out.group);
          assert.equal(told.size, 0);
          assert.equal(router.groupCount, 0);
          if (role === "tracked") assert.equal(router.deadline(), undefined);
        }),
        { numRuns: 400 },
      );
    });
  }

for (const family of [4, 6] as const) {
  const { group, other } = NAMES[family];

  test(`any queries leave a host of IPv${family} sound, and in the end silent`, () => {
    const inputs: fc.Arbitrary<HostInput> = fc.oneof(
      fc.record({
        kind: fc.constant("set" as const),
        group: fc.constantFrom(group, other),
        filter: filters,
      }),
      messages(family)
        .filter((message) => message.kind === "query")
        .chain((query) =>
          fc.record({
            kind: fc.constant("query" as const),
            query: fc.constant(query),
            immediate: fc.boolean(),
          }),
        ),
      fc.constant({ kind: "timeout" } as const),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(20_000), inputs), { maxLength: 40 }),
        fc.nat(),
        (all, seed) => {
          const machine = new MembershipHost({ family, entropy: seeded(seed) });
          const wanted = new Map<string, GroupFilter>();
          let now = 0;
          for (const [pause, input] of all) {
            now += pause;
            machine.handle(input, now);
            if (input.kind === "set") {
              if (isEmpty(input.filter)) wanted.delete(input.group);
              else wanted.set(input.group, input.filter);
            }
            for (const { message } of drain(machine))
              if (message.kind === "report") assert.ok(message.records.length > 0);
            assert.deepEqual(sortedEntries(machine.state()), sortedEntries(wanted));
            const due = machine.deadline();
            assert.ok(due === undefined || due > now);
          }
          advance(machine, now + 100_000);
          assert.equal(machine.deadline(), undefined);
        },
      ),
      { numRuns: 300 },
    );
  });
}
