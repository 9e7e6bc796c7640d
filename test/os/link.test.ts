import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { OsError } from "../../src/core/errors.ts";
import { EMSGSIZE } from "../../src/os/errno.ts";
import { close, sendmmsg } from "../../src/os/libc.ts";
import {
  ARPHRD_ETHER,
  ARPHRD_LOOPBACK,
  addAddress,
  findLink,
  readAddresses,
  readLink,
  readSysctl,
  setMtu,
  setQueueLength,
  setSysctl,
  setUp,
} from "../../src/os/link.ts";
import { openUdp } from "../../src/os/udp.ts";
import { Messages } from "./messages.ts";
import { enterNamespace, kernelTest, makeVeth, removeLink } from "./namespace.ts";

enterNamespace();

void test("loopback is index 1, has no hardware and both its addresses", () => {
  const link = readLink("lo");
  assert.deepEqual(
    [link.name, link.index, link.loopback, link.hardwareType, link.kind],
    ["lo", 1, true, ARPHRD_LOOPBACK, undefined],
  );
  const addresses = readAddresses("lo");
  assert.ok(addresses.some(({ address, prefix }) => address === "127.0.0.1" && prefix === 8));
});

void test("a name that no interface has, or can have, is refused", () => {
  assert.throws(
    () => readLink("cv-none"),
    (error: unknown) =>
      error instanceof OsError &&
      error.errno === "ENODEV" &&
      error.subject === "cv-none" &&
      error.mend !== undefined,
  );
  assert.equal(findLink("cv-none"), undefined);
  for (const name of ["", "a/b", "a b", "sixteen-letters-", "a\0b"])
    assert.throws(
      () => readLink(name),
      (error: unknown) => error instanceof OsError && error.errno === "EINVAL",
    );
});

kernelTest("an interface takes addresses of both families, MTU, queue length, up and down", () => {
  makeVeth("cv-os-l0", "cv-os-l1");
  try {
    setSysctl(6, "cv-os-l0", "accept_dad", 0);
    addAddress("cv-os-l0", "192.0.2.1", 24);
    addAddress("cv-os-l0", "192.0.2.1", 24);
    addAddress("cv-os-l0", "2001:db8::1", 64);
    addAddress("cv-os-l0", "169.254.7.7", 16);
    addAddress("cv-os-l0", "fe80::7", 64);
    const addresses = readAddresses("cv-os-l0")
      .map(({ address, prefix, linkLocal }) => `${address}/${prefix}${linkLocal ? " link" : ""}`)
      .filter((text) => !/^fe80::[0-9a-f]+:/.test(text));
    assert.deepEqual(addresses.toSorted(), [
      "169.254.7.7/16 link",
      "192.0.2.1/24",
      "2001:db8::1/64",
      "fe80::7/64 link",
    ]);
    assert.deepEqual(
      readAddresses("cv-os-l1").filter(({ linkLocal }) => !linkLocal),
      [],
    );
    setMtu("cv-os-l0", 1_400);
    setQueueLength("cv-os-l0", 4_096);
    let link = readLink("cv-os-l0");
    assert.deepEqual(
      [link.mtu, link.up, link.multicast, link.kind, link.hardwareType],
      [1_400, true, true, "veth", ARPHRD_ETHER],
    );
    assert.equal(link.hardwareAddress.length, 6);
    setUp("cv-os-l0", false);
    link = readLink("cv-os-l0");
    assert.equal(link.up, false);
    assert.throws(
      () => setMtu("cv-os-l0", 20),
      (error: unknown) => error instanceof OsError && error.errno === "EINVAL",
    );
  } finally {
    removeLink("cv-os-l0");
  }
});

kernelTest("a sysctl of a device is set, and one that is not there is refused", () => {
  setSysctl(4, "lo", "rp_filter", 0);
  assert.equal(readFileSync("/proc/sys/net/ipv4/conf/lo/rp_filter", "utf8"), "0\n");
  setSysctl(4, "lo", "rp_filter", 2);
  assert.equal(readSysctl("ipv4/conf/lo/rp_filter"), "2");
  assert.equal(readSysctl("ipv4/conf/lo/none"), undefined);
  assert.throws(
    () => setSysctl(4, "lo", "none", 1),
    (error: unknown) => error instanceof OsError && error.errno === "ENOENT",
  );
  assert.throws(() => setSysctl(4, "..", "x", 1), { code: "CULVERT_BUG" });
});

for (const family of [4, 6] as const)
  kernelTest(`IPv${family} with DF refuses what exceeds the MTU, without DF it is cut`, () => {
    setMtu("lo", 1_500);
    const local = { address: family === 4 ? "127.0.0.1" : "::1", port: 0 };
    const strict = openUdp({ local, dontFragment: true });
    const lax = openUdp({ local, dontFragment: false });
    const out = new Messages().put(0, Buffer.alloc(3_000), lax.local);
    assert.equal(sendmmsg(strict.fd, out.headers, 1), -EMSGSIZE);
    assert.equal(sendmmsg(lax.fd, out.headers, 1), 1);
    close(strict.fd);
    close(lax.fd);
    setMtu("lo", 65_536);
  });
