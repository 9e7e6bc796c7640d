import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { endpointText, formatAddress, type Endpoint } from "../../src/core/address.ts";
import { parseAmtUrl, parseEndpoint, parseOutput, parsePrefix } from "../../src/config/endpoint.ts";

const anyEndpoint: fc.Arbitrary<Endpoint> = fc
  .tuple(
    fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }).map((octets) => formatAddress(octets, 0, 4)),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map((octets) => formatAddress(octets, 0, 6)),
    ),
    fc.nat(65_535),
  )
  .map(([address, port]) => ({ address, port }));

test("an endpoint reads back from its own text", () => {
  fc.assert(
    fc.property(anyEndpoint, (endpoint) => {
      assert.deepEqual(parseEndpoint(endpointText(endpoint), undefined), endpoint);
    }),
  );
});

test("an endpoint without a port takes the default, and is refused where there is none", () => {
  assert.deepEqual(parseEndpoint("192.0.2.1", 2268), { address: "192.0.2.1", port: 2268 });
  assert.deepEqual(parseEndpoint("2001:DB8::1", 2268), { address: "2001:db8::1", port: 2268 });
  assert.deepEqual(parseEndpoint("[2001:db8::1]", 7), { address: "2001:db8::1", port: 7 });
  assert.equal(parseEndpoint("192.0.2.1", undefined), undefined);
});

test("texts that are not endpoints are refused", () => {
  for (const text of [
    "",
    "192.0.2",
    "192.0.2.1:",
    "192.0.2.1:65536",
    "192.0.2.1:02268",
    "192.0.2.256",
    "[192.0.2.1]:2268",
    "[2001:db8::1",
    "2001:db8::1]:5",
    "relay.example:2268",
    " 192.0.2.1",
  ])
    assert.equal(parseEndpoint(text, 2268), undefined, text);
});

test("an AMT URL has a group and a port, and a source where it names one", () => {
  assert.deepEqual(parseAmtUrl("amt://198.51.100.7@232.1.1.1:5000"), {
    source: "198.51.100.7",
    group: "232.1.1.1",
    port: 5000,
  });
  assert.deepEqual(parseAmtUrl("amt://239.1.1.1:5000"), { group: "239.1.1.1", port: 5000 });
  assert.deepEqual(parseAmtUrl("amt://[2001:db8::1]@[ff3e::1]:5000"), {
    source: "2001:db8::1",
    group: "ff3e::1",
    port: 5000,
  });
  assert.deepEqual(parseAmtUrl("amt://[ff0e::1]:5000/"), { group: "ff0e::1", port: 5000 });
});

test("an AMT URL that names no stream of AMT is refused", () => {
  for (const text of [
    "udp://239.1.1.1:5000",
    "amt://239.1.1.1",
    "amt://239.1.1.1:0",
    // Not a group, and groups that no router forwards.
    "amt://192.0.2.1:5000",
    "amt://224.0.0.251:5000",
    "amt://[ff02::1]:5000",
    // A source-specific group without its source (RFC 4607 §1).
    "amt://232.1.1.1:5000",
    "amt://[ff3e::1]:5000",
    // Sources that cannot be one, or not of this group.
    "amt://239.1.1.2@239.1.1.1:5000",
    "amt://0.0.0.0@239.1.1.1:5000",
    "amt://[2001:db8::1]@239.1.1.1:5000",
    "amt://2001:db8::1@[ff3e::1]:5000",
  ])
    assert.equal(parseAmtUrl(text), undefined, text);
});

test("an output is standard output, a UDP endpoint or a file", () => {
  assert.deepEqual(parseOutput("-"), { kind: "stdout" });
  assert.deepEqual(parseOutput("a.ts"), { kind: "file", path: "a.ts" });
  assert.deepEqual(parseOutput("udp://127.0.0.1:5000"), {
    kind: "udp",
    to: { address: "127.0.0.1", port: 5000 },
  });
  assert.equal(parseOutput("udp://127.0.0.1"), undefined);
  assert.equal(parseOutput(""), undefined);
});

test("an interface address has a canonical address and the length of its prefix", () => {
  assert.equal(parsePrefix("10.9.8.1/24"), "10.9.8.1/24");
  assert.equal(parsePrefix("2001:DB8:0::1/64"), "2001:db8::1/64");
  for (const text of ["10.9.8.1", "10.9.8.1/33", "10.9.8.1/024", "239.1.1.1/24", "::1/129"])
    assert.equal(parsePrefix(text), undefined, text);
});
