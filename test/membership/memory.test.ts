import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Address, formatAddress } from "../../src/core/address.ts";
import { MembershipRouter, type RouterOptions } from "../../src/membership/router.ts";
import { LIFETIME, from, options, report } from "./support.ts";

const ROUTERS = 100_000;
const GROUPS = 10;
const MEGABYTE = 2 ** 20;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** Text of its own, as a codec makes it for every message. */
function address(first: number, number: number): Address {
  const octets = Uint8Array.of(first, number >>> 16, (number >>> 8) & 0xff, number & 0xff);
  return formatAddress(octets, 0, 4);
}

/** How many outputs wait. Nothing of them is kept, as `drain` would. */
function outputsOf(router: MembershipRouter): number {
  let count = 0;
  while (router.poll() !== undefined) count++;
  return count;
}

test(`a relay of ${ROUTERS} endpoints with ${GROUPS} groups each holds them in less than 400 MB, and lets go of them`, () => {
  const settings: RouterOptions = options("tracked", 4);
  const before = heapUsed();
  const routers: MembershipRouter[] = [];
  for (let i = 0; i < ROUTERS; i++) {
    const router = new MembershipRouter(settings);
    for (let group = 0; group < GROUPS; group++) {
      const message = report(address(232, group + 1), ["allow", [address(198, i % 5_000)]]);
      router.handle(from(address(0, 0), message), i + group / 8);
    }
    assert.equal(outputsOf(router), GROUPS);
    routers.push(router);
  }
  const held = heapUsed() - before;
  assert.ok(held < 400 * MEGABYTE, `${Math.round(held / MEGABYTE)} MB`);

  for (const router of routers) {
    router.handle({ kind: "timeout" }, ROUTERS + GROUPS + LIFETIME);
    assert.equal(outputsOf(router), GROUPS);
    assert.equal(router.groupCount, 0);
  }
  const left = heapUsed() - before;
  assert.ok(left < 100 * MEGABYTE, `${Math.round(left / MEGABYTE)} MB are left`);
});
