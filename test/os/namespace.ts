/** A network namespace of the test file's own; it goes with the process. */
import koffi from "koffi";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../../src/core/address.ts";
import { errnoName } from "../../src/os/errno.ts";
import { close } from "../../src/os/libc.ts";
import { addAddress, readLink, setUp } from "../../src/os/link.ts";
import { NLM_F_CREATE, attribute, netlink } from "../../src/os/netlink.ts";
import { openUdp } from "../../src/os/udp.ts";

const CLONE_NEWNET = 0x40000000;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;

let refusal: string | undefined;

/** Puts this thread into a new namespace with nothing but a loopback that is up. */
export function enterNamespace(): void {
  const unshare = koffi.load(null).func("int unshare(int)");
  if (unshare(CLONE_NEWNET) === 0) {
    setUp("lo", true);
    return;
  }
  const reason = `a network namespace needs root (unshare: ${errnoName(koffi.errno())})`;
  if (process.env["CULVERT_REQUIRE_ALL"] === "1") throw new Error(reason);
  refusal = reason;
}

/** A test that needs the namespace; skipped with the reason when it can't be had. */
export function kernelTest(
  name: string,
  body: (context: TestContext) => void | Promise<void>,
): void {
  void test(name, { skip: refusal ?? false }, body);
}

/** Ends a test, skipped, that this kernel is too old for. */
export function lacking(context: TestContext, what: string): void {
  if (process.env["CULVERT_REQUIRE_ALL"] === "1") throw new Error(`this kernel has no ${what}`);
  context.skip(`this kernel has no ${what}`);
}

const zeroEnded = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

/** A pair of Ethernet interfaces, up, each the other's wire. */
export function makeVeth(one: string, other: string): void {
  const peer = attribute(
    VETH_INFO_PEER,
    Buffer.concat([new Uint8Array(16), attribute(IFLA_IFNAME, zeroEnded(other))]),
  );
  const driver = Buffer.concat([
    attribute(IFLA_INFO_KIND, zeroEnded("veth")),
    attribute(IFLA_INFO_DATA, peer),
  ]);
  netlink(
    "RTM_NEWLINK",
    one,
    RTM_NEWLINK,
    NLM_F_CREATE,
    new Uint8Array(16),
    attribute(IFLA_IFNAME, zeroEnded(one)),
    attribute(IFLA_LINKINFO, driver),
  );
  setUp(one, true);
  setUp(other, true);
}

/** Gives the loopback IPv6 addresses; settles when sockets can be bound to each of them. */
export async function addLoopback(addresses: readonly Address[]): Promise<void> {
  for (const address of addresses) addAddress("lo", address, 128);
  // A new address is tentative for a while.
  for (const address of addresses)
    for (const deadline = Date.now() + 30_000; ; await sleep(1)) {
      try {
        close(openUdp({ local: { address, port: 0 } }).fd);
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
}

/** Removes an interface; with one of a pair goes the other. */
export function removeLink(name: string): void {
  const body = new Uint8Array(16);
  new DataView(body.buffer).setInt32(4, readLink(name).index, true);
  netlink("RTM_DELLINK", name, RTM_DELLINK, 0, body);
}
