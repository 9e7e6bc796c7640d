/** A DNS server on this host that answers as a test says, over UDP and TCP at one port. */
import { createSocket, type Socket } from "node:dgram";
import { createServer, type Server } from "node:net";
import { decode, encode, type Packet } from "dns-packet";
import type { Endpoint } from "../../../src/core/address.ts";

/** A question as it came. */
export interface Asked {
  readonly over: "udp" | "tcp";
  readonly id: number;
  readonly name: string;
  readonly type: string;
}

/** What is sent for a question, a datagram each. */
export type Answering = (asked: Asked) => readonly Uint8Array[];

export class DnsServer {
  readonly asked: Asked[] = [];
  readonly #udp: Socket;
  readonly #tcp: Server;

  private constructor(
    udp: Socket,
    tcp: Server,
    readonly endpoint: Endpoint,
  ) {
    this.#udp = udp;
    this.#tcp = tcp;
  }

  static async start(answering: Answering): Promise<DnsServer> {
    const tcp = createServer();
    await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
    const { port } = tcp.address() as { port: number };
    const udp = createSocket("udp4");
    await new Promise<void>((resolve) => udp.bind(port, "127.0.0.1", resolve));
    const server = new DnsServer(udp, tcp, { address: "127.0.0.1", port });
    const take = (octets: Buffer, over: "udp" | "tcp") => {
      const packet = decode(octets);
      const { name, type } = packet.questions![0]!;
      const asked = { over, id: packet.id!, name, type };
      server.asked.push(asked);
      return answering(asked);
    };
    udp.on("message", (octets, from) => {
      for (const answer of take(octets, "udp")) udp.send(answer, from.port, from.address);
    });
    tcp.on("connection", (socket) => {
      socket.on("error", () => {});
      socket.once("data", (octets: Buffer) => {
        const answers = take(octets.subarray(2), "tcp");
        for (const answer of answers) {
          const length = Buffer.from([answer.length >> 8, answer.length & 0xff]);
          // In two pieces, as a stream may come.
          socket.write(length);
          setImmediate(() => socket.write(answer));
        }
      });
    });
    return server;
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
  }
}

interface Reply {
  readonly answers?: readonly object[];
  readonly soa?: { readonly ttl: number; readonly minimum: number };
  readonly flags?: number;
  readonly id?: number;
  readonly name?: string;
  readonly type?: string;
}

/** The response to `asked`. */
export function reply(asked: Pick<Asked, "id" | "name" | "type">, of: Reply = {}): Uint8Array {
  const packet: Packet = {
    type: "response",
    id: of.id ?? asked.id,
    flags: 0x8180 | (of.flags ?? 0),
    questions: [{ name: of.name ?? asked.name, type: (of.type ?? asked.type) as "A", class: "IN" }],
    answers: (of.answers ?? []) as never,
    authorities: of.soa
      ? [
          {
            name: "example",
            type: "SOA",
            ttl: of.soa.ttl,
            data: { mname: "ns.example", rname: "root.example", ...SOA, minimum: of.soa.minimum },
          },
        ]
      : [],
  };
  return encode(packet);
}

const SOA = { serial: 1, refresh: 1, retry: 1, expire: 1 };

/** A record of the answer section; the type as dns-packet spells it. */
export function record(name: string, type: string, ttl: number, data: unknown): object {
  return { name, type, ttl, class: "IN", data };
}
