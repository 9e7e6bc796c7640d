import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { NOTHING, wants } from "../../src/membership/filter.ts";
import { MembershipRouter } from "../../src/membership/router.ts";
import type { GroupFilter } from "../../src/wire/membership.ts";
import { Link, type Weather } from "./link.ts";
import { LIFETIME, NAMES, drain, from, join, leave, options, query, seeded } from "./support.ts";

const FOUL: Weather = { loss: 0.2, duplication: 0.1, latency: 50 };
const HOSTS = 4;
const RESTLESS = 600_000;
/** A query, its answers, and then every timer that a lost message could have left running. */
const QUIET = 125_000 + 10_000 + LIFETIME + 1_000;

for (const family of [4, 6] as const) {
  const { group, other, source, host } = NAMES[family];
  const protocol = family === 4 ? "IGMP" : "MLD";
  const sources = ["s1", "s2", "s3", "s4"].map(source);
  /** One that no host ever names. */
  const stranger = source("z1");

  function someFilter(fraction: () => number): GroupFilter {
    const listed = sources.filter(() => fraction() < 0.4);
    const turn = fraction();
    if (turn < 0.3) return NOTHING;
    return { mode: turn < 0.65 ? "include" : "exclude", sources: listed };
  }

  /** The router forwards what the hosts want, or (`enough`) at least that. */
  function agree(link: Link, seed: number, enough = false): void {
    const filters = new Map(link.router.filters());
    for (const where of [group, other])
      for (const one of [...sources, stranger]) {
        const wanted = link.wanted(where).some((filter) => wants(filter, one));
        const forwarded = wants(filters.get(where) ?? NOTHING, one);
        if (enough && !wanted) continue;
        assert.equal(forwarded, wanted, `seed ${seed}, at ${link.now}, (${one}, ${where})`);
      }
  }

  /** Hosts join and leave at random times up to `until`; `after` is called after each. */
  function restless(
    link: Link,
    fraction: () => number,
    until: number,
    after: () => void = () => undefined,
  ): void {
    for (let at = 0; at < until; at += 20_000 * fraction())
      link.at(at, () => {
        const where: Address = fraction() < 0.7 ? group : other;
        link.set(Math.floor(fraction() * HOSTS), where, someFilter(fraction));
        after();
      });
  }

  test(`${protocol}: a querier and hosts agree after losses, within the protocol's time (RFC 3376 §5, §6; RFC 3810 §6, §7)`, () => {
    for (let seed = 1; seed <= 30; seed++) {
      const entropy = seeded(seed);
      const link = new Link(options("querier", family), HOSTS, entropy);
      link.weather = FOUL;
      link.start();
      restless(link, () => entropy.fraction(), RESTLESS);
      link.run(RESTLESS);
      link.weather = { ...FOUL, loss: 0 };
      link.run(RESTLESS + QUIET);
      agree(link, seed);
    }
  });

  test(`${protocol}: without losses a querier never withholds what a host wants (RFC 3376 §6, RFC 3810 §7)`, () => {
    for (let seed = 1; seed <= 30; seed++) {
      const entropy = seeded(seed);
      const link = new Link(options("querier", family), HOSTS, entropy);
      link.start();
      restless(
        link,
        () => entropy.fraction(),
        RESTLESS,
        () => agree(link, seed, true),
      );
      for (let at = 0; at < RESTLESS; at += 2_500) link.at(at, () => agree(link, seed, true));
      link.run(RESTLESS);
    }
  });

  test(`${protocol}: a tracked link forwards just what its reporters want, at any time (RFC 7450 §5.3.3.4)`, () => {
    for (let seed = 1; seed <= 30; seed++) {
      const entropy = seeded(seed);
      const link = new Link(options("tracked", family), HOSTS, entropy);
      restless(
        link,
        () => entropy.fraction(),
        RESTLESS,
        () => agree(link, seed),
      );
      for (let at = 0; at < RESTLESS; at += 125_000) link.at(at, () => link.poll(query()));
      for (let at = 0; at < RESTLESS; at += 2_500) link.at(at, () => agree(link, seed));
      link.run(RESTLESS);
    }
  });

  test(`${protocol}: a tracked link and hosts agree after losses, within the protocol's time (RFC 7450 §5.3.3.4)`, () => {
    for (let seed = 1; seed <= 30; seed++) {
      const entropy = seeded(seed);
      const link = new Link(options("tracked", family), HOSTS, entropy);
      link.weather = FOUL;
      restless(link, () => entropy.fraction(), RESTLESS);
      const end = RESTLESS + QUIET;
      for (let at = 0; at < end; at += 125_000) link.at(at, () => link.poll(query()));
      link.run(RESTLESS);
      link.weather = { ...FOUL, loss: 0 };
      link.run(end);
      agree(link, seed);
    }
  });

  test(`${protocol}: older hosts that silence each other are never cut off by another's leave (RFC 2236 §3, RFC 2710 §4)`, () => {
    for (let seed = 1; seed <= 100; seed++) {
      const entropy = seeded(seed);
      const fraction = (): number => entropy.fraction();
      const router = new MembershipRouter(options("tracked", family, { reporters: 3 }));
      const members = new Set<number>();
      let lastReporter = -1;
      let emptySince = 0;
      let nextQuery = 0;
      const say = (member: number, message: typeof join | typeof leave, at: number): void =>
        router.handle(from(host(member), message(group)), at);
      for (let now = 0; now < 2_000_000; now += Math.ceil(60_000 * fraction())) {
        for (; nextQuery <= now; nextQuery += 125_000) {
          // The first to answer silences the others.
          const answering = [...members][Math.floor(fraction() * members.size)];
          if (answering === undefined) continue;
          say(answering, join, nextQuery);
          lastReporter = answering;
        }
        const member = Math.floor(fraction() * 6);
        if (!members.has(member)) {
          members.add(member);
          say(member, join, now);
          lastReporter = member;
        } else {
          members.delete(member);
          // Who was not the last to report may leave without a word.
          if (member === lastReporter || fraction() < 0.5) say(member, leave, now);
          if (members.size === 0) emptySince = now;
        }
        router.handle({ kind: "timeout" }, now);
        if (members.size > 0) assert.equal(router.groupCount, 1, `seed ${seed}, at ${now}`);
        else if (now - emptySince > LIFETIME) assert.equal(router.groupCount, 0);
      }
      router.handle({ kind: "timeout" }, 3_000_000);
      assert.equal(router.groupCount, 0);
      drain(router);
    }
  });
}
