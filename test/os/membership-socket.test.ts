import assert from "node:assert/strict";
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "../../assembly/layout/system.ts";
import { EAGAIN } from "../../src/os/errno.ts";
import { close, recv, sendTo } from "../../src/os/libc.ts";
import { readLink, setSysctl } from "../../src/os/link.ts";
import { linkName, openLinkSender, openMembership } from "../../src/os/packet.ts";
import { ethernetFrame } from "../../src/runtime/device-frame.ts";
import { emitMembershipDatagram } from "../../src/wire/membership-datagram.ts";
import { join } from "../membership/support.ts";
import { pattern, udpDatagram } from "../lanes/packets.ts";
import { enterNamespace, kernelTest, makeVeth, removeLink } from "./namespace.ts";

enterNamespace();

const STATION = Uint8Array.of(2, 0, 0, 0, 0, 9);
const igmp = emitMembershipDatagram(join("239.1.2.3"), { family: 4, source: "192.0.2.9" });
const mld = emitMembershipDatagram(join("ff0e::1:3"), { family: 6, source: "fe80::9" });
const udp = udpDatagram({ source: "192.0.2.9", group: "239.1.2.3", payload: pattern(9, 1) });
const udp6 = udpDatagram({ source: "2001:db8::9", group: "ff0e::1:3", payload: pattern(9, 1) });

/** The frame with an 802.1Q tag. */
function tagged(frame: Uint8Array): Uint8Array {
  return Uint8Array.from([...frame.subarray(0, 12), 0x81, 0x00, 0x00, 0x05, ...frame.subarray(12)]);
}

kernelTest(
  "a membership socket takes the IGMP and MLD of others, to groups nobody has joined, and nothing else",
  () => {
    makeVeth("cv-ms-0", "cv-ms-1");
    for (const name of ["cv-ms-0", "cv-ms-1"]) setSysctl(6, name, "disable_ipv6", 1);
    const fd = openMembership(readLink("cv-ms-0"));
    const far = openLinkSender(1 << 20);
    try {
      const at = readLink("cv-ms-1").index;
      const put = (socket: number, index: number, protocol: number, frame: Uint8Array): void =>
        assert.equal(sendTo(socket, frame, linkName(index, protocol)), frame.length);
      const wanted = [ethernetFrame(igmp, STATION), ethernetFrame(mld, STATION)] as const;
      put(far, at, ETHERTYPE_IPV4, ethernetFrame(udp, STATION));
      put(far, at, ETHERTYPE_IPV4, wanted[0]);
      put(far, at, ETHERTYPE_IPV4, tagged(wanted[0]));
      put(far, at, ETHERTYPE_IPV6, ethernetFrame(udp6, STATION));
      put(far, at, ETHERTYPE_IPV6, wanted[1]);
      // What we send ourselves is no host's.
      put(fd, readLink("cv-ms-0").index, ETHERTYPE_IPV4, wanted[0]);
      const room = new Uint8Array(2_048);
      const got: Uint8Array[] = [];
      let length = recv(fd, room);
      for (; length >= 0; length = recv(fd, room)) got.push(room.slice(0, length));
      assert.equal(length, -EAGAIN);
      assert.deepEqual(got, wanted);
    } finally {
      close(fd);
      close(far);
      removeLink("cv-ms-0");
    }
  },
);
