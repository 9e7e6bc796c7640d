import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decode } from "dns-packet";
import { followChain } from "../../../src/os/resolver/chain.ts";
import { encodeQuery, isAskable, parseResponse } from "../../../src/os/resolver/message.ts";
import { parseServers } from "../../../src/os/resolver/servers.ts";
import { SeededEntropy, mutate } from "../../fuzz/mutate.ts";
import { hex } from "../../vectors/hex.ts";
import { record, reply } from "./dns-server.ts";

const QUESTION = { name: "7.100.51.198.in-addr.arpa", type: 260 };
const ASKED = { id: 7, name: QUESTION.name, type: "UNKNOWN_260" };
const RDATA = hex("0a01cb00710f");

const read = (octets: Uint8Array) => parseResponse(octets, 7, QUESTION);
const at = (name: string, data = RDATA) => record(name, "UNKNOWN_260", 60, Buffer.from(data));

test("a query asks one question of class IN, with recursion desired (RFC 8777 §2.6)", () => {
  const octets = encodeQuery(0xabcd, QUESTION);
  assert.equal(Buffer.from(octets).toString("hex", 0, 12), "abcd01000001000000000001");
  // Type 260, class 1.
  assert.ok(Buffer.from(octets).includes(Buffer.from("617270610001040001", "hex")));
  assert.deepEqual(decode(Buffer.from(octets)).questions, [
    { ...QUESTION, type: "UNKNOWN_260", class: "IN" },
  ]);
});

test("a response counts only for its own question and identifier (RFC 5452 §9.1)", () => {
  const answers = [at(QUESTION.name)];
  assert.equal(read(reply(ASKED, { answers }))?.records.length, 1);
  assert.equal(read(reply(ASKED, { answers, id: 8 })), undefined);
  assert.equal(read(reply(ASKED, { answers, name: "8.100.51.198.in-addr.arpa" })), undefined);
  assert.equal(read(reply(ASKED, { answers, type: "A" })), undefined);
  assert.equal(read(encodeQuery(7, QUESTION)), undefined);
  const spelled = reply(ASKED, { answers, name: "7.100.51.198.IN-ADDR.arpa" });
  assert.equal(read(spelled)?.records.length, 1);
});

test("a truncated response is known as one, wherever it was cut (RFC 1035 §4.1.1)", () => {
  const whole = reply(ASKED, { answers: [at(QUESTION.name), at(QUESTION.name)], flags: 0x0200 });
  const least = 12 + QUESTION.name.length + 2 + 4;
  for (let length = least; length <= whole.length; length++)
    assert.equal(read(whole.subarray(0, length))?.truncated, true);
  assert.equal(read(whole.subarray(0, least - 1)), undefined);
});

test("CNAME and DNAME are followed within an answer (RFC 8777 §2.6)", () => {
  const answers = [
    record("51.198.in-addr.arpa", "DNAME", 50, "branch.example"),
    record("7.100.branch.example", "CNAME", 40, "Last.Example"),
    at("last.example"),
    at("elsewhere.example", hex("0000")),
  ];
  const end = followChain(QUESTION, read(reply(ASKED, { answers }))!, 16);
  assert.deepEqual(end, { name: "last.example", values: [RDATA], ttl: 40, aliases: 2 });
});

test("aliases in a circle lead nowhere", () => {
  const answers = [
    record(QUESTION.name, "CNAME", 40, "a.example"),
    record("a.example", "CNAME", 40, QUESTION.name),
  ];
  assert.equal(followChain(QUESTION, read(reply(ASKED, { answers }))!, 16), undefined);
});

test("records of other owners, types and classes count for nothing", () => {
  const answers = [
    at("8.100.51.198.in-addr.arpa"),
    record(QUESTION.name, "A", 60, "192.0.2.1"),
    { ...at(QUESTION.name), class: "CH" },
  ];
  const end = followChain(QUESTION, read(reply(ASKED, { answers }))!, 16);
  assert.deepEqual(end?.values, []);
});

test("a denial may be kept as long as its SOA says (RFC 2308 §5)", () => {
  assert.equal(read(reply(ASKED, { soa: { ttl: 30, minimum: 90 } }))?.denialTtl, 30);
  assert.equal(read(reply(ASKED, { soa: { ttl: 90, minimum: 20 } }))?.denialTtl, 20);
  assert.equal(
    read(reply(ASKED, { soa: { ttl: 0x8000_0000, minimum: 0xffff_ffff } }))?.denialTtl,
    0,
  );
  assert.equal(read(reply(ASKED))?.denialTtl, undefined);
});

test("any octets are a response or not, without an exception (RFC 8777 §6.2)", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (octets) => {
      read(octets);
    }),
  );
});

test("responses with changed octets are read or refused, and their aliases end", () => {
  const answers = [
    record("51.198.in-addr.arpa", "DNAME", 50, "branch.example"),
    record("7.100.branch.example", "CNAME", 40, "last.example"),
    at("last.example"),
  ];
  const seeds = [
    reply(ASKED, { answers }),
    reply(ASKED, { answers, flags: 0x0200 }),
    reply(ASKED, { soa: { ttl: 30, minimum: 90 }, flags: 3 }),
    encodeQuery(7, QUESTION),
  ];
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const random = new SeededEntropy(seed);
      for (let i = 0; i < 20; i++) {
        const octets = mutate(random.pick(seeds), random.pick(seeds), random);
        const response = read(octets);
        if (response === undefined) continue;
        const end = followChain(QUESTION, response, 16);
        assert.ok(end === undefined || end.aliases <= 16);
      }
    }),
  );
});

test("only names that text carries unchanged are asked for", () => {
  for (const name of ["a", "12.0/25.100.51.198.in-addr.arpa", "_a-1.example", "a".repeat(63)])
    assert.ok(isAskable(name), name);
  for (const name of ["", ".", "a..b", "a.", "ä.example", "a b", "a\\b", "a".repeat(64)])
    assert.ok(!isAskable(name), name);
  assert.ok(!isAskable(Array(64).fill("abc").join(".")));
});

test("the host's servers are those of resolv.conf, in order, three at most", () => {
  const text = "# a comment\nnameserver 192.0.2.1\nsearch x\nnameserver\t2001:DB8::1\n";
  assert.deepEqual(parseServers(text), [
    { address: "192.0.2.1", port: 53 },
    { address: "2001:db8::1", port: 53 },
  ]);
  assert.equal(parseServers("nameserver 192.0.2.1\n".repeat(5)).length, 3);
  assert.deepEqual(parseServers("nameserver fe80::1%eth0\n"), [{ address: "127.0.0.1", port: 53 }]);
});
