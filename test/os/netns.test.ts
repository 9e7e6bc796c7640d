import assert from "node:assert/strict";
import { readlinkSync } from "node:fs";
import { OsError } from "../../src/core/errors.ts";
import { close } from "../../src/os/libc.ts";
import { addAddress, findLink, readLink, setMtu, setUp } from "../../src/os/link.ts";
import { inNetns, netnsPath } from "../../src/os/netns.ts";
import { openTun, setCarrier } from "../../src/os/tun.ts";
import { openUdp, readPathMtu } from "../../src/os/udp.ts";
import { kernelTest } from "../kernel/needs.ts";

const IFF_LOWER_UP = 0x10000;
const own = (): string => readlinkSync("/proc/thread-self/ns/net");

kernelTest(
  "what is opened in another namespace belongs to it, and the thread comes back",
  [],
  (lab) => {
    const { name } = lab.namespace("one");
    const home = own();
    const device = inNetns(name, () => {
      assert.notEqual(own(), home);
      const made = openTun({ name: "cv-os-n", kind: "tap", vnetHeader: true });
      setUp(made.name, true);
      addAddress(made.name, "192.0.2.77", 24);
      return made;
    });
    assert.equal(own(), home);
    assert.equal(findLink("cv-os-n"), undefined);
    assert.equal(
      inNetns(netnsPath(name), () => readLink("cv-os-n").up),
      true,
    );
    const socket = inNetns(name, () => openUdp({ local: { address: "192.0.2.77", port: 0 } }));
    assert.throws(
      () => openUdp({ local: { address: "192.0.2.77", port: 0 } }),
      (error: unknown) => error instanceof OsError && error.errno === "EADDRNOTAVAIL",
    );
    close(socket.fd);
    close(device.fd);
    return Promise.resolve();
  },
);

kernelTest(
  "a body that throws leaves the thread at home; a namespace that is not is named",
  [],
  (lab) => {
    const { name } = lab.namespace("one");
    const home = own();
    assert.throws(
      () =>
        inNetns(name, () => {
          throw new TypeError("from within");
        }),
      /from within/,
    );
    assert.equal(own(), home);
    for (const wrong of ["cv-os-nowhere", "/nowhere/at/all", "999999999"])
      assert.throws(
        () => inNetns(wrong, () => assert.fail("ran")),
        (error: unknown) =>
          error instanceof OsError && error.errno === "ENOENT" && /no such/.test(error.mend ?? ""),
      );
    for (const wrong of ["", ".", ".."])
      assert.throws(
        () => inNetns(wrong, () => assert.fail("ran")),
        (error: unknown) => error instanceof OsError && error.errno === "EINVAL",
      );
    assert.throws(() => inNetns("/dev/null", () => assert.fail("ran")), OsError);
    assert.equal(inNetns(`${process.pid}`, own), home);
    return Promise.resolve();
  },
);

kernelTest("a persistent TAP that is free is taken over, and stays", [], (lab) => {
  const there = lab.namespace("one");
  there.ip("tuntap", "add", "cv-os-p", "mode", "tap");
  inNetns(there.name, () => {
    const { index } = readLink("cv-os-p");
    const device = openTun({ name: "cv-os-p", kind: "tap", vnetHeader: true });
    assert.equal(readLink("cv-os-p").index, index);
    assert.equal(device.vnetHeader, true);
    setMtu("cv-os-p", 1_400);
    there.ip("link", "set", "cv-os-p", "address", "02:00:00:00:00:09");
    setUp("cv-os-p", true);
    const carrier = (): boolean => (readLink("cv-os-p").flags & IFF_LOWER_UP) !== 0;
    assert.equal(carrier(), true);
    setCarrier(device, false);
    assert.equal(carrier(), false);
    setCarrier(device, true);
    assert.equal(carrier(), true);
    const link = readLink("cv-os-p");
    assert.deepEqual([link.mtu, [...link.hardwareAddress]], [1_400, [2, 0, 0, 0, 0, 9]]);
    assert.throws(() => setMtu("cv-os-p", 1), OsError);
    assert.throws(
      () => openTun({ name: "cv-os-p", kind: "tap", vnetHeader: true }),
      (error: unknown) => error instanceof OsError && error.errno === "EBUSY",
    );
    close(device.fd);
    assert.equal(readLink("cv-os-p").index, index);
  });
  return Promise.resolve();
});

kernelTest("the path's MTU is that of the route, for either family", [], (lab) => {
  const [a, b] = [lab.namespace("a"), lab.namespace("b")];
  lab.connect(a, "x0", b, "x0", 1_400);
  a.address("x0", "192.0.2.1/24", "2001:db8::1/64");
  b.address("x0", "192.0.2.2/24", "2001:db8::2/64");
  a.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.2", "mtu", "1300");
  inNetns(a.name, () => {
    assert.equal(readPathMtu("192.0.2.1", { address: "192.0.2.2", port: 9 }), 1_400);
    assert.equal(readPathMtu("2001:db8::1", { address: "2001:db8::2", port: 9 }), 1_400);
    assert.equal(readPathMtu("192.0.2.1", { address: "198.51.100.7", port: 9 }), 1_300);
    assert.equal(readPathMtu("192.0.2.1", { address: "203.0.113.1", port: 9 }), undefined);
  });
  return Promise.resolve();
});
