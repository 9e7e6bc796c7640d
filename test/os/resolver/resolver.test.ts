import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace, answerWait } from "../../../src/os/resolver/pace.ts";
import { Resolver } from "../../../src/os/resolver/resolver.ts";
import { SystemEntropy } from "../../../src/os/entropy.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { hex } from "../../vectors/hex.ts";
import { DnsServer, record, reply, type Answering } from "./dns-server.ts";

const NAME = "7.100.51.198.in-addr.arpa";
const QUESTION = { name: NAME, type: 260 };
const RDATA = hex("0a01cb00710f");
const relayAt = (name: string, ttl = 60) => record(name, "UNKNOWN_260", ttl, Buffer.from(RDATA));
const FOUND = (ttl: number) => ({ kind: "found", values: [RDATA], ttl });

/** Nobody waits that long, however slow the machine. */
const PATIENT = 60_000;
/** For servers that do not answer. */
const SHORT = 40;

/** A test with a server that answers so, and a resolver that asks it. */
function resolverTest(
  name: string,
  answering: Answering,
  body: (resolver: Resolver, server: DnsServer) => Promise<void>,
  firstWait = PATIENT,
): void {
  test(name, async () => {
    const server = await DnsServer.start(answering);
    const resolver = new Resolver({
      servers: [server.endpoint],
      entropy: new SystemEntropy(),
      firstWait,
    });
    try {
      await body(resolver, server);
    } finally {
      resolver.close();
      server.close();
    }
  });
}

resolverTest(
  "an answer is kept as long as its TTL says, and asked for once (RFC 1035 §7.3)",
  (asked) => [reply(asked, { answers: [relayAt(NAME)] })],
  async (resolver, server) => {
    const twice = [resolver.resolve(QUESTION), resolver.resolve(QUESTION)];
    assert.deepEqual(await Promise.all(twice), [FOUND(60), FOUND(60)]);
    await resolver.resolve({ name: NAME.toUpperCase(), type: 260 });
    assert.equal(server.asked.length, 1);
  },
);

resolverTest(
  "an answer with TTL 0 serves once (RFC 1035 §3.2.1)",
  (asked) => [reply(asked, { answers: [relayAt(NAME, 0)] })],
  async (resolver, server) => {
    await resolver.resolve(QUESTION);
    await resolver.resolve(QUESTION);
    assert.equal(server.asked.length, 2);
    assert.notEqual(server.asked[0]!.id, server.asked[1]!.id);
  },
);

resolverTest(
  "a denial is kept as long as its SOA says (RFC 2308 §5)",
  (asked) => [
    reply(asked, asked.name === NAME ? { flags: 3, soa: { ttl: 60, minimum: 9 } } : { flags: 3 }),
  ],
  async (resolver, server) => {
    assert.deepEqual(await resolver.resolve(QUESTION), { kind: "absent", ttl: 9 });
    assert.deepEqual(await resolver.resolve(QUESTION), { kind: "absent", ttl: 9 });
    assert.equal(server.asked.length, 1);
    assert.deepEqual(await resolver.resolve({ name: "b", type: 260 }), { kind: "absent", ttl: 0 });
  },
);

resolverTest(
  "a truncated answer is asked for again over TCP (RFC 7766 §5)",
  (asked) => [
    asked.over === "udp"
      ? reply(asked, { flags: 0x0200 })
      : reply(asked, { answers: Array.from({ length: 200 }, () => relayAt(NAME)) }),
  ],
  async (resolver, server) => {
    const answer = await resolver.resolve(QUESTION);
    assert.equal(answer.kind === "found" && answer.values.length, 200);
    assert.deepEqual(
      server.asked.map(({ over }) => over),
      ["udp", "tcp"],
    );
  },
);

let ignored = 0;
resolverTest(
  "a query without an answer is repeated, with a new identifier (RFC 8777 §2.7)",
  (asked) => (ignored++ < 2 ? [] : [reply(asked, { answers: [relayAt(NAME)] })]),
  async (resolver, server) => {
    assert.deepEqual(await resolver.resolve(QUESTION), FOUND(60));
    const ids = server.asked.slice(0, 3).map(({ id }) => id);
    assert.equal(new Set(ids).size, 3);
  },
  SHORT,
);

resolverTest(
  "who is never answered learns so",
  () => [],
  async (resolver) => {
    assert.deepEqual(await resolver.resolve(QUESTION), {
      kind: "failed",
      reason: `no answer about ${NAME}`,
    });
    assert.equal(resolver.queries, 4);
  },
  SHORT,
);

resolverTest(
  "forged and broken answers before the true one make no difference (RFC 5452 §9.1)",
  (asked) => {
    const forged = { answers: [record(NAME, "UNKNOWN_260", 60, Buffer.from("0000", "hex"))] };
    return [
      hex("00"),
      reply(asked, { ...forged, id: asked.id ^ 1 }),
      reply(asked, { ...forged, name: "other.example" }),
      reply(asked, { answers: [relayAt(NAME)] }).subarray(0, 50),
      reply(asked, { answers: [relayAt(NAME)] }),
    ];
  },
  async (resolver) => assert.deepEqual(await resolver.resolve(QUESTION), FOUND(60)),
);

resolverTest(
  "an alias that leads out of the answer is asked for (RFC 8777 §2.6)",
  (asked) => [
    asked.name === NAME
      ? reply(asked, { answers: [record(NAME, "CNAME", 30, "there.example")] })
      : reply(asked, { answers: [relayAt("there.example")] }),
  ],
  async (resolver, server) => {
    assert.deepEqual(await resolver.resolve(QUESTION), FOUND(30));
    assert.deepEqual(
      server.asked.map(({ name }) => name),
      [NAME, "there.example"],
    );
  },
);

let aliases = 0;
resolverTest(
  "aliases without end are given up after 16",
  (asked) => [reply(asked, { answers: [record(asked.name, "CNAME", 30, `${aliases++}.example`)] })],
  async (resolver, server) => {
    const answer = await resolver.resolve(QUESTION);
    assert.equal(answer.kind === "failed" && answer.reason.includes("too many aliases"), true);
    assert.ok(server.asked.length <= 18, `${server.asked.length}`);
  },
);

resolverTest(
  "a server that refuses is not asked again",
  (asked) => [reply(asked, { flags: 5 })],
  async (resolver, server) => {
    const answer = await resolver.resolve(QUESTION);
    assert.equal(answer.kind === "failed" && answer.reason.includes("refuses"), true);
    assert.equal(server.asked.length, 1);
  },
);

resolverTest(
  "addresses of names come as octets",
  (asked) => [
    reply(asked, {
      answers: [
        record(asked.name, asked.type, 60, asked.type === "A" ? "192.0.2.1" : "2001:db8::1"),
      ],
    }),
  ],
  async (resolver) => {
    const four = await resolver.resolve({ name: "a.example", type: 1 });
    const six = await resolver.resolve({ name: "a.example", type: 28 });
    assert.deepEqual(four, { kind: "found", values: [hex("c0000201")], ttl: 60 });
    assert.equal(six.kind === "found" && six.values[0]!.length, 16);
  },
);

resolverTest(
  "the end of the resolver ends what is asked",
  () => [],
  async (resolver) => {
    const answer = resolver.resolve(QUESTION);
    resolver.close();
    assert.equal((await answer).kind, "failed");
  },
);

test("no more than 10 queries leave in any 100 ms (RFC 8777 §2.7)", () => {
  const pace = new Pace();
  const turns = Array.from({ length: 35 }, () => pace.take(1_000));
  assert.deepEqual(turns.slice(0, 11), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100]);
  for (let i = 10; i < turns.length; i++) assert.ok(turns[i]! - turns[i - 10]! >= 100);
  assert.equal(pace.take(2_000), 0);
});

test("the wait for an answer is random from 1 s, doubling, to 120 s at most (RFC 8777 §2.7)", () => {
  for (const [round, most] of [1, 2, 4, 8, 16, 32, 64, 120, 120].entries()) {
    const waits = Array.from({ length: 300 }, (_, seed) =>
      answerWait(seededEntropy(seed), round, 1_000),
    );
    assert.ok(Math.min(...waits) >= 1_000 && Math.max(...waits) <= most * 1_000);
    assert.ok(Math.max(...waits) >= most * 900);
  }
});
