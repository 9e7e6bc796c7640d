/** UDP sockets of Node itself, for where no native code can be loaded. */
import { createSocket, type Socket, type SocketOptions } from "node:dgram";
import { endpointText, familyOf, type Endpoint } from "../core/address.ts";
import { errorNumber, osError } from "./errno.ts";

/** Octets wanted of the kernel's buffers, which grants what its limits allow. */
const BUFFER = 4 * 1024 * 1024;

/** Opens and binds a socket; it keeps the event loop alive. Rejects with OsError. */
export async function openDgram(local: Endpoint): Promise<Socket> {
  const v4 = familyOf(local.address) === 4;
  const socket = createSocket({
    type: v4 ? "udp4" : "udp6",
    ipv6Only: !v4,
    recvBufferSize: BUFFER,
    sendBufferSize: BUFFER,
    lookup: literal,
  });
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => {
      socket.close();
      reject(osError("bind", errorNumber(error), `UDP ${endpointText(local)}`));
    };
    socket.once("error", refused);
    socket.bind(local.port, local.address, () => {
      socket.off("error", refused);
      // Whoever reads the socket hears of errors; one that comes while nobody does ends nothing.
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

/** Addresses here are never names: without this, Node would put each send off to a later turn. */
const literal: NonNullable<SocketOptions["lookup"]> = (address, _options, done) =>
  done(null, address, familyOf(address));
