import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { mock } from "node:test";
import { readLink } from "../../src/os/link.ts";
import { Upstream, readIngress } from "../../src/runtime/upstream.ts";
import { enterNamespace, kernelTest, makeVeth, removeLink } from "../os/namespace.ts";

enterNamespace();

const DEVICE = "cv-up-0";
const EVERYTHING = { mode: "exclude", sources: [] } as const;
const NOTHING = { mode: "include", sources: [] } as const;

const limit = (groups: number): void =>
  writeFileSync("/proc/sys/net/ipv4/igmp_max_memberships", `${groups}`);
const joined = (): number =>
  [...readFileSync("/proc/net/igmp", "utf8").matchAll(/010101EF|020101EF/g)].length;

kernelTest("groups that the kernel refuses wait, and are joined when it takes them", () => {
  makeVeth(DEVICE, "cv-up-1");
  mock.timers.enable({ apis: ["setTimeout"] });
  const said: string[] = [];
  const upstream = new Upstream([readIngress(DEVICE)], (line) => said.push(line));
  try {
    limit(0);
    for (const group of ["239.1.1.1", "239.1.1.2", "239.1.1.3"]) upstream.want(group, EVERYTHING);
    upstream.want("239.1.1.3", NOTHING);
    mock.timers.tick(10_000);
    assert.deepEqual([upstream.waiting, joined()], [2, 0]);
    limit(20);
    mock.timers.tick(10_000);
    assert.deepEqual([upstream.waiting, joined()], [0, 2]);
    assert.equal(said.length, 2);
    assert.match(
      said[0]!,
      /^joining 239\.1\.1\.1 on cv-up-0: .*ENOBUFS; raise .*; it is tried again$/,
    );
    mock.timers.tick(60_000);
    assert.equal(said.length, 2);
  } finally {
    upstream.close();
    mock.timers.reset();
    removeLink(DEVICE);
  }
  assert.equal(joined(), 0);
});

kernelTest(
  "an interface that is a part of nothing can be an ingress, and a missing one can't",
  () => {
    assert.equal(readIngress("lo").index, readLink(readLink("lo").index).index);
    assert.throws(() => readIngress("cv-no-such"), /ENODEV/);
  },
);

kernelTest("what is wanted is asked for on an interface that was made anew, once", () => {
  makeVeth(DEVICE, "cv-up-1");
  const upstream = new Upstream([readIngress(DEVICE)], assert.fail);
  try {
    for (const group of ["239.1.1.1", "239.1.1.2"]) upstream.want(group, EVERYTHING);
    upstream.want("239.1.1.2", NOTHING);
    removeLink(DEVICE);
    assert.equal(joined(), 0);
    makeVeth(DEVICE, "cv-up-1");
    upstream.move(0, readLink(DEVICE).index);
    assert.equal(joined(), 1);
    upstream.want("239.1.1.1", NOTHING);
    assert.equal(joined(), 0);
  } finally {
    upstream.close();
    removeLink(DEVICE);
  }
});
