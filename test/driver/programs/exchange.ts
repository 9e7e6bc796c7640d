/**
 * Exchanges octets with a peer over TCP: takes all that it gives at one port, then gives it as many at
 * the next, and says the SHA-256 of both. Words: address, port, octets.
 */
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";

const [address = "", port = "", octets = ""] = process.argv.slice(2);

/** A connection to the peer, which may not be listening yet. */
async function reach(to: number): Promise<Socket> {
  for (;;) {
    const socket = connect(to, address);
    const reached = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    if (reached) return socket;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const taken = createHash("sha256");
const from = await reach(Number(port));
for await (const chunk of from) taken.update(chunk as Buffer);

const data = Buffer.alloc(Number(octets));
for (let i = 0, state = 1; i < data.length; i++) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  data[i] = state >>> 24;
}
const to = await reach(Number(port) + 1);
to.end(data);
to.resume();
await new Promise((resolve) => to.once("close", resolve));
const given = createHash("sha256").update(data).digest("hex");
process.stdout.write(`${JSON.stringify({ taken: taken.digest("hex"), given })}\n`);
