import assert from "node:assert/strict";
import { test } from "node:test";
import { EVERYTHING, NOTHING } from "../../src/membership/filter.ts";
import { MembershipHost, type HostOutput } from "../../src/membership/host.ts";
import type { Address } from "../../src/core/address.ts";
import type { Entropy, Millis } from "../../src/core/machine.ts";
import type {
  GroupFilter,
  GroupRecord,
  MembershipMessage,
  MembershipQuery,
} from "../../src/wire/membership.ts";
import { NAMES, advance, drain, exclude, include, join, leave, query, seeded } from "./support.ts";

/** Always the middle: of a gap up to 1,000 ms it makes 500, of a delay up to 10,000 ms 5,000. */
const MIDDLE: Entropy = { u32: () => 2 ** 31, fraction: () => 0.5 };

for (const family of [4, 6] as const) {
  const { group, other, ssm, linkLocal, source } = NAMES[family];
  const [a, b, c] = [source("a1"), source("b1"), source("c1")];
  const protocol = family === 4 ? "IGMP" : "MLD";

  function newHost(entropy = MIDDLE): MembershipHost {
    return new MembershipHost({ family, entropy });
  }

  function heard(outputs: readonly HostOutput[]): MembershipMessage[] {
    return outputs.map(({ message }) => message);
  }

  function set(host: MembershipHost, filter: GroupFilter, now: Millis, where: Address = group) {
    host.handle({ kind: "set", group: where, filter }, now);
    return heard(drain(host));
  }

  function ask(host: MembershipHost, what: Partial<MembershipQuery>, now: Millis) {
    host.handle({ kind: "query", query: query(what) }, now);
    return heard(drain(host));
  }

  function later(host: MembershipHost, until: Millis): (readonly [Millis, MembershipMessage])[] {
    return advance(host, until).map(({ when, out }) => [when, out.message] as const);
  }

  /** A report with records of `group`. */
  function says(
    ...records: (readonly [GroupRecord["kind"], readonly string[]])[]
  ): MembershipMessage {
    return {
      kind: "report",
      generation: 3,
      records: records.map(([kind, sources]) => ({ kind, group, sources })),
    };
  }

  /** A host that wants `filter` and has said all that there is to say about it. */
  function settled(filter: GroupFilter, where: Address = group): MembershipHost {
    const host = newHost();
    set(host, filter, -100_000, where);
    later(host, -1);
    return host;
  }

  const CHANGES: readonly (readonly [string, GroupFilter, GroupFilter, MembershipMessage])[] = [
    ["INCLUDE to INCLUDE", include(a, b), include(b, c), says(["allow", [c]], ["block", [a]])],
    ["EXCLUDE to EXCLUDE", exclude(a, b), exclude(b, c), says(["allow", [a]], ["block", [c]])],
    ["INCLUDE to EXCLUDE", include(a), exclude(b), says(["to-ex", [b]])],
    ["EXCLUDE to INCLUDE", exclude(a), include(b), says(["to-in", [b]])],
    ["nothing to EXCLUDE of nothing", NOTHING, EVERYTHING, says(["to-ex", []])],
    ["EXCLUDE of nothing to nothing", EVERYTHING, NOTHING, says(["to-in", []])],
    ["nothing to a source", NOTHING, include(a), says(["allow", [a]])],
    ["a source to nothing", include(a), NOTHING, says(["block", [a]])],
  ];

  for (const [name, before, after, report] of CHANGES)
    test(`${protocol}: a change from ${name} is reported at once and again (RFC 3376 §5.1, RFC 3810 §6.1)`, () => {
      const host = settled(before);
      assert.deepEqual(set(host, after, 0), [report]);
      assert.deepEqual(later(host, 100_000), [[500, report]]);
      assert.equal(host.deadline(), undefined);
      assert.deepEqual([...host.state()], after === NOTHING ? [] : [[group, after]]);
    });

  test(`${protocol}: repetitions come as often as the Robustness Variable says, at random gaps (RFC 3376 §5.1, §8.11)`, () => {
    const gaps: number[] = [];
    for (let seed = 1; seed <= 100; seed++) {
      const host = newHost(seeded(seed));
      host.handle({ kind: "robustness", value: 4 }, 0);
      assert.equal(set(host, EVERYTHING, 0).length, 1);
      const times = later(host, 100_000).map(([when]) => when);
      assert.equal(times.length, 3);
      gaps.push(...times.map((when, i) => when - (times[i - 1] ?? 0)));
    }
    assert.ok(gaps.every((gap) => gap > 0 && gap <= 1_000));
    assert.ok(Math.min(...gaps) < 100 && Math.max(...gaps) > 900);
    const host = newHost({ u32: () => 0, fraction: () => 0 });
    set(host, EVERYTHING, 0);
    assert.deepEqual(later(host, 100_000), [[1_000, says(["to-ex", []])]]);
  });

  test(`${protocol}: the unsolicited report interval is a setting (RFC 3376 §8.11)`, () => {
    const host = new MembershipHost({ family, entropy: MIDDLE, unsolicitedReportInterval: 4_000 });
    set(host, EVERYTHING, 0);
    assert.deepEqual(later(host, 100_000), [[2_000, says(["to-ex", []])]]);
  });

  test(`${protocol}: what is set as it already is goes without saying (RFC 3376 §5.1)`, () => {
    const host = settled(include(a, b));
    assert.deepEqual(set(host, include(b, a), 0), []);
    assert.deepEqual(set(host, NOTHING, 0, other), []);
    assert.equal(host.deadline(), undefined);
  });

  test(`${protocol}: a change amid repetitions is reported together with what they said (RFC 3376 §5.1)`, () => {
    const host = settled(include(a));
    assert.deepEqual(set(host, include(a, b), 0), [says(["allow", [b]])]);
    assert.deepEqual(set(host, include(b), 100), [says(["allow", [b]], ["block", [a]])]);
    // b has been said twice now, a once.
    assert.deepEqual(later(host, 100_000), [[600, says(["block", [a]])]]);
  });

  test(`${protocol}: a source that changes back amid repetitions is reported as it is now (RFC 3376 §5.1)`, () => {
    const host = settled(include(a));
    set(host, include(a, b), 0);
    assert.deepEqual(set(host, include(a), 100), [says(["block", [b]])]);
    assert.deepEqual(later(host, 100_000), [[600, says(["block", [b]])]]);
  });

  test(`${protocol}: a change of mode makes pending source changes superfluous (RFC 3376 §5.1)`, () => {
    const host = settled(include(a));
    set(host, include(b), 0);
    assert.deepEqual(set(host, exclude(c), 100), [says(["to-ex", [c]])]);
    assert.deepEqual(later(host, 100_000), [[600, says(["to-ex", [c]])]]);
  });

  test(`${protocol}: sources changed amid a change of mode go with it, then alone (RFC 3376 §5.1)`, () => {
    const host = settled(include(a));
    assert.deepEqual(set(host, exclude(b), 0), [says(["to-ex", [b]])]);
    assert.deepEqual(set(host, exclude(b, c), 100), [says(["to-ex", [b, c]])]);
    assert.deepEqual(later(host, 100_000), [[600, says(["block", [c]])]]);
  });

  test(`${protocol}: repetitions due together share a report (RFC 3376 §5.1)`, () => {
    const host = newHost();
    set(host, EVERYTHING, 0);
    set(host, include(a), 0, other);
    const [[when, message]] = later(host, 100_000) as [readonly [Millis, MembershipMessage]];
    assert.equal(when, 500);
    assert.deepEqual(message, {
      kind: "report",
      generation: 3,
      records: [
        { kind: "to-ex", group, sources: [] },
        { kind: "allow", group: other, sources: [a] },
      ],
    });
  });

  test(`${protocol}: a General Query is answered for all groups, after a random delay (RFC 3376 §5.2, RFC 3810 §6.2)`, () => {
    const host = settled(exclude(a));
    set(host, include(b), -50_000, other);
    later(host, -1);
    assert.deepEqual(ask(host, {}, 0), []);
    const message: MembershipMessage = {
      kind: "report",
      generation: 3,
      records: [
        { kind: "is-ex", group, sources: [a] },
        { kind: "is-in", group: other, sources: [b] },
      ],
    };
    assert.deepEqual(later(host, 100_000), [[5_000, message]]);
  });

  test(`${protocol}: a query may be answered at once (RFC 7450 §5.2.3.5)`, () => {
    const host = settled(include(a));
    host.handle({ kind: "query", query: query(), immediate: true }, 0);
    assert.deepEqual(heard(drain(host)), [says(["is-in", [a]])]);
    assert.equal(host.deadline(), undefined);
  });

  test(`${protocol}: a host without groups has no answer (RFC 3376 §5.2)`, () => {
    const host = newHost();
    host.handle({ kind: "query", query: query(), immediate: true }, 0);
    ask(host, { group }, 0);
    assert.deepEqual(advance(host, 100_000), []);
  });

  test(`${protocol}: a Group-Specific Query is answered for that group (RFC 3376 §5.2)`, () => {
    const host = settled(exclude(a));
    set(host, include(b), -50_000, other);
    later(host, -1);
    ask(host, { group, maxResponse: 1_000 }, 0);
    assert.deepEqual(later(host, 100_000), [[500, says(["is-ex", [a]])]]);
  });

  test(`${protocol}: of sources asked for, those wanted are named (RFC 3376 §5.2)`, () => {
    for (const [filter, answer] of [
      [include(a, c), [says(["is-in", [a]])]],
      [exclude(a), [says(["is-in", [b]])]],
      [include(c), []],
      [exclude(a, b), []],
    ] as const) {
      const host = settled(filter);
      ask(host, { group, sources: [a, b] }, 0);
      assert.deepEqual(
        later(host, 100_000).map(([, message]) => message),
        answer,
      );
    }
  });

  test(`${protocol}: queries that wait are answered once, at the earlier time, for the sources of both (RFC 3376 §5.2)`, () => {
    const host = settled(include(a, b, c));
    ask(host, { group, sources: [a] }, 0);
    ask(host, { group, sources: [b], maxResponse: 1_000 }, 1_000);
    assert.deepEqual(later(host, 100_000), [[1_500, says(["is-in", [a, b]])]]);
    ask(host, { group, sources: [a] }, 200_000);
    ask(host, { group }, 200_000);
    ask(host, { group, sources: [b] }, 200_000);
    assert.deepEqual(later(host, 300_000), [[205_000, says(["is-in", [a, b, c]])]]);
  });

  test(`${protocol}: an answer to a General Query that comes sooner answers a group's query too (RFC 3376 §5.2)`, () => {
    const host = settled(include(a));
    ask(host, {}, 0);
    ask(host, { group }, 0);
    assert.deepEqual(later(host, 100_000), [[5_000, says(["is-in", [a]])]]);
    ask(host, {}, 200_000);
    ask(host, { maxResponse: 2_000 }, 200_000);
    ask(host, { maxResponse: 20_000 }, 200_000);
    assert.deepEqual(
      later(host, 300_000).map(([when]) => when),
      [201_000],
    );
  });

  test(`${protocol}: a group left before its answer is due is not spoken of (RFC 3376 §5.2)`, () => {
    const host = settled(include(a));
    ask(host, { group }, 0);
    set(host, NOTHING, 100);
    assert.deepEqual(later(host, 100_000), [[600, says(["block", [a]])]]);
    assert.equal(host.deadline(), undefined);
  });

  test(`${protocol}: the querier's Robustness Variable is used, or the own if it gives none (RFC 3376 §4.1.6)`, () => {
    const host = newHost();
    host.handle({ kind: "robustness", value: 3 }, 0);
    ask(host, { robustness: 5 }, 0);
    later(host, 20_000);
    set(host, EVERYTHING, 20_000);
    assert.equal(later(host, 100_000).length, 5 - 1);
    ask(host, { robustness: 0 }, 100_000);
    later(host, 150_000);
    set(host, NOTHING, 150_000);
    assert.equal(later(host, 200_000).length, 3 - 1);
  });

  test(`${protocol}: nothing is said of the all-hosts group (RFC 3376 §5, RFC 3810 §6)`, () => {
    const silent = family === 4 ? ["224.0.0.1"] : ["ff02::1", "ff01::fb", "ff00::1"];
    const host = newHost();
    for (const where of silent) assert.deepEqual(set(host, EVERYTHING, 0, where), []);
    assert.equal([...host.state()].length, silent.length);
    host.handle({ kind: "query", query: query(), immediate: true }, 0);
    for (const where of silent) {
      host.handle({ kind: "query", query: query({ group: where }), immediate: true }, 0);
      set(host, NOTHING, 0, where);
    }
    assert.deepEqual(advance(host, 100_000), []);
    assert.deepEqual(drain(host), []);
    assert.deepEqual([...host.state()], []);
    assert.equal(set(host, EVERYTHING, 0, linkLocal).length, 1);
  });

  test(`${protocol}: an older querier makes an older host, until it is silent (RFC 3376 §7.2.1, RFC 3810 §8.2.1)`, () => {
    const host = settled(include(a));
    ask(host, { generation: 2, robustness: 0, queryInterval: 0 }, 0);
    assert.deepEqual(later(host, 100_000), [[5_000, join(group)]]);
    assert.deepEqual(set(host, include(a, b), 100_000), []);
    assert.deepEqual(set(host, EVERYTHING, 100_000, other), [join(other)]);
    assert.deepEqual(later(host, 150_000), [[105_000, join(other)]]);
    assert.deepEqual(set(host, NOTHING, 150_000, other), [leave(other)]);
    // A newer query does not change that: robustness, interval and response, 260 s, are not over.
    ask(host, {}, 200_000);
    assert.deepEqual(later(host, 259_999), [[205_000, join(group)]]);
    assert.deepEqual(set(host, include(a), 260_000), [says(["block", [b]])]);
  });

  test(`${protocol}: in an older mode a query of sources is answered as one of the group (RFC 3376 §7.2.1)`, () => {
    const host = settled(include(a));
    ask(host, { generation: 2 }, 0);
    later(host, 50_000);
    ask(host, { group, sources: [b] }, 50_000);
    assert.deepEqual(later(host, 100_000), [[55_000, join(group)]]);
  });

  test(`${protocol}: an older query of one group does not change the mode (RFC 3376 §7.2.1)`, () => {
    const host = settled(include(a));
    ask(host, { generation: 2, group }, 0);
    assert.deepEqual(later(host, 100_000), [[5_000, says(["is-in", [a]])]]);
  });

  test(`${protocol}: a change of mode ends what is outstanding (RFC 3376 §7.2.1, RFC 3810 §8.2.1)`, () => {
    const host = newHost();
    set(host, EVERYTHING, 0);
    set(host, include(a), 0, other);
    set(host, NOTHING, 0, other);
    ask(host, { group }, 0);
    ask(host, { generation: 2 }, 100);
    assert.deepEqual(later(host, 100_000), [[5_100, join(group)]]);
    assert.deepEqual([...host.state()], [[group, EVERYTHING]]);
  });

  test(`${protocol}: older reports are not made of source-specific groups (RFC 4604)`, () => {
    const host = settled(include(a), ssm);
    ask(host, { generation: 2 }, 0);
    assert.deepEqual(set(host, NOTHING, 1_000, ssm), []);
    assert.deepEqual(set(host, include(a), 2_000, ssm), []);
    assert.deepEqual(later(host, 100_000), []);
  });
}

test("IGMP: an IGMPv1 querier hears reports of its version and no leaves (RFC 3376 §7.2.1, RFC 2236 §4)", () => {
  const { group } = NAMES[4];
  const host = new MembershipHost({ family: 4, entropy: MIDDLE });
  host.handle({ kind: "query", query: query({ generation: 2 }) }, 0);
  host.handle({ kind: "query", query: query({ generation: 1 }) }, 1_000);
  host.handle({ kind: "set", group, filter: EVERYTHING }, 2_000);
  assert.deepEqual(drain(host), [{ kind: "message", message: join(group, 1) }]);
  assert.deepEqual(advance(host, 100_000), [
    { when: 7_000, out: { kind: "message", message: join(group, 1) } },
  ]);
  host.handle({ kind: "set", group, filter: NOTHING }, 100_000);
  assert.deepEqual(drain(host), []);
  // Both older queriers fall silent: the IGMPv1 one last.
  host.handle({ kind: "set", group, filter: EVERYTHING }, 260_999);
  assert.deepEqual(drain(host), [{ kind: "message", message: join(group, 1) }]);
  host.handle({ kind: "set", group, filter: NOTHING }, 261_000);
  assert.equal((drain(host)[0] as HostOutput).message.kind, "report");
});
