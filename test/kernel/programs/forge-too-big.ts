/**
 * Sends the relay an ICMP "too big" that quotes a Multicast Data message as if the relay had sent it,
 * and ends. Arguments: RELAY GATEWAY PORT SOURCE GROUP MTU.
 */
import { IcmpSocket } from "../../../src/os/icmp.ts";
import { emitTooBig } from "../../../src/wire/icmp.ts";
import { amtData, udpDatagram } from "../../lanes/packets.ts";

const [relay, gateway, port, source, group, mtu] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const payload = amtData(udpDatagram({ source, group, payload: new Uint8Array(1_300) }));
const quoted = udpDatagram({ source: relay, group: gateway, payload });
const ports = new DataView(quoted.buffer, 20);
ports.setUint16(0, 2268);
ports.setUint16(2, Number(port));
const socket = new IcmpSocket(4);
if (!socket.send(emitTooBig(quoted, 4, Number(mtu)), relay)) throw new Error("it was not sent");
socket.close();
