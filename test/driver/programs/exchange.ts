/**
 * Exchanges octets with a peer over TCP, over all of its connections at once, and says the SHA-256 of
 * what went over each, in their order. Words: octets, then for each connection "ADDRESS,PORT,give" or
 * "ADDRESS,PORT,take": all that the peer gives is taken, or it is given so many octets.
 */
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";

const [octets = "", ...ways] = process.argv.slice(2);

const data = Buffer.alloc(Number(octets));
for (let i = 0, state = 1; i < data.length; i++) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  data[i] = state >>> 24;
}

/** A connection to the peer, which may not be listening yet. */
async function reach(address: string, port: number): Promise<Socket> {
  for (;;) {
    const socket = connect(port, address);
    const reached = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    if (reached) return socket;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function exchange(way: string): Promise<string> {
  const [address = "", port = "", direction] = way.split(",");
  const socket = await reach(address, Number(port));
  const digest = createHash("sha256");
  if (direction === "take") {
    for await (const chunk of socket) digest.update(chunk as Buffer);
    return digest.digest("hex");
  }
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.end(data);
  socket.resume();
  await closed;
  return digest.update(data).digest("hex");
}

process.stdout.write(JSON.stringify(await Promise.all(ways.map(exchange))));
