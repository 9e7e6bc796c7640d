/**
 * A crowd of AMT gateways that join one source and group and then only receive: a Request, the
 * Query's nonce and MAC, an Update, once for each UDP port. Ends when every gateway has sent its
 * Update.
 *
 *     join.js RELAY RELAY_PORT SOURCE GROUP ADDRESS:FIRST_PORT:COUNT...
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { emitRequest, emitUpdate, parseQuery } from "../../src/wire/amt.ts";
import { emitMembershipDatagram } from "../../src/wire/membership-datagram.ts";

/** How many gateways are at it at a time, and how long one waits before it asks again. */
const AT_ONCE = 32;
const PATIENCE = 500;
const TRIES = 10;

const [relay = "", relayPort, source = "", group = "", ...places] = process.argv.slice(2);
const report = emitMembershipDatagram(
  {
    kind: "report",
    generation: 3,
    records: [{ kind: "allow", group, sources: [source] }],
  },
  { family: 4, source: "0.0.0.0" },
);
const waiting = places.flatMap((place) => {
  const [address = "", first, count] = place.split(":");
  return Array.from({ length: Number(count) }, (_, i) => ({ address, port: Number(first) + i }));
});

async function join(gateway: { address: string; port: number }): Promise<void> {
  const socket = createSocket("udp4");
  socket.bind(gateway.port, gateway.address);
  await once(socket, "listening");
  try {
    const query = await ask(socket, gateway.port);
    const update = emitUpdate({ mac: query.mac, nonce: query.nonce, datagram: report });
    await new Promise<void>((resolve, reject) =>
      socket.send(update, Number(relayPort), relay, (error) => (error ? reject(error) : resolve())),
    );
  } finally {
    socket.close();
  }
}

/** The relay's Membership Query; asks again while there is none. */
async function ask(socket: Socket, nonce: number) {
  const request = emitRequest(nonce, { family: 4, ecn: false });
  for (let tries = 0; tries < TRIES; tries++) {
    const answer = once(socket, "message", { signal: AbortSignal.timeout(PATIENCE) });
    socket.send(request, Number(relayPort), relay);
    try {
      const query = parseQuery(((await answer) as [Uint8Array])[0]);
      if (typeof query === "object" && query.nonce === nonce) return query;
    } catch (error) {
      if ((error as Error).name !== "AbortError") throw error;
    }
  }
  throw new Error(`no answer from ${relay}:${relayPort} to port ${nonce}`);
}

async function joinSome(): Promise<void> {
  for (let next = waiting.pop(); next; next = waiting.pop()) await join(next);
}

await Promise.all(Array.from({ length: AT_ONCE }, joinSome));
