import assert from "node:assert/strict";
import { once } from "node:events";
import type { Family } from "../../src/core/address.ts";
import { IcmpSocket } from "../../src/os/icmp.ts";
import { setMtu } from "../../src/os/link.ts";
import { watch } from "../../src/os/poll.ts";
import { readPathMtu } from "../../src/os/udp.ts";
import { emitTooBig, parseTooBig } from "../../src/wire/icmp.ts";
import { udpDatagram } from "../lanes/packets.ts";
import { enterNamespace, kernelTest } from "./namespace.ts";

enterNamespace();

const LOOPBACK: Record<Family, string> = { 4: "127.0.0.1", 6: "::1" };

/** Waits until a socket has something to read. */
async function readable(fd: number): Promise<void> {
  const heard = new EventTarget();
  const watched = watch(fd, { readable: true }, () => heard.dispatchEvent(new Event("ready")));
  await once(heard, "ready");
  watched.close();
}

for (const family of [4, 6] as const) {
  const address = LOOPBACK[family];
  /** A datagram of ours to port 9, as a router would quote it. */
  const quoted = (payload: number): Uint8Array =>
    udpDatagram({ source: address, group: address, payload: new Uint8Array(payload), port: 9 });

  kernelTest(
    `ICMP over IPv${family} that a packet was too big is heard, other ICMP is not`,
    async () => {
      const sender = new IcmpSocket(family);
      const hearer = new IcmpSocket(family);
      const other = emitTooBig(quoted(100), family, 1_400);
      other[family === 4 ? 1 : 0] = family === 4 ? 3 : 1; // port unreachable, unreachable
      const tcp = quoted(100);
      tcp[family === 4 ? 9 : 6] = 6;
      assert.ok(sender.send(other, address));
      assert.ok(sender.send(emitTooBig(tcp, family, 1_400), address));
      assert.ok(sender.send(emitTooBig(quoted(1_400), family, 1_400), address));
      await readable(hearer.fd);
      const heard = parseTooBig(hearer.receive()!, family)!;
      assert.deepEqual(heard.to, { address, port: 9 });
      assert.equal(heard.mtu, 1_400);
      assert.equal(hearer.receive(), undefined);
      sender.close();
      hearer.close();
    },
  );

  kernelTest(`the MTU of a path over IPv${family} is its device's, or none without a way`, () => {
    setMtu("lo", 1_500);
    assert.equal(readPathMtu(address, { address, port: 9 }), 1_500);
    const far = family === 4 ? "203.0.113.1" : "2001:db8::1";
    assert.equal(readPathMtu(address, { address: far, port: 9 }), undefined);
    setMtu("lo", 65_536);
  });
}
