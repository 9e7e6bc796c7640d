/** A gateway of plain messages, and a relay's settings, for tests of a whole relay on loopback. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { AMT_DATA, AMT_PORT } from "../../assembly/layout/amt.ts";
import { check } from "../../src/config/check.ts";
import type { RelayConfig } from "../../src/config/relay.ts";
import { QueryView, amtType, emitRequest, emitUpdate } from "../../src/wire/amt.ts";
import { emitReportDatagrams } from "../../src/wire/membership-datagram.ts";
import type { RecordKind } from "../../src/wire/membership.ts";

const RELAY = "127.0.0.1";
export const GROUP = "232.1.1.1";
export const REQUEST = emitRequest(1, { family: 4, ecn: true });

export function configOf(raw: Record<string, unknown>): RelayConfig {
  const checked = check("relay", { local: RELAY, ingress: "lo", ...raw });
  assert.ok("value" in checked);
  return checked.value;
}

/** A gateway's socket. */
export class Peer {
  /** Datagrams of Multicast Data that came, and the octets of their UDP payloads. */
  data = 0;
  dataOctets = 0;
  readonly #socket = createSocket("udp4");

  async open(): Promise<this> {
    this.#socket.on("message", (octets) => {
      if (amtType(octets) !== AMT_DATA) return;
      this.data++;
      this.dataOctets += octets.length;
    });
    this.#socket.bind(0, RELAY);
    await once(this.#socket, "listening");
    return this;
  }

  say(octets: Uint8Array): void {
    this.#socket.send(octets, AMT_PORT, RELAY);
  }

  async ask(octets: Uint8Array): Promise<Uint8Array> {
    const answer = once(this.#socket, "message");
    this.say(octets);
    const [message] = (await answer) as [Uint8Array];
    return message;
  }

  /** Reports under the proof of a Query that it asks for. */
  async report(kind: RecordKind, source: string): Promise<void> {
    const { mac, nonce } = new QueryView(await this.ask(REQUEST));
    const [datagram] = emitReportDatagrams([{ kind, group: GROUP, sources: [source] }], {
      family: 4,
      source: "0.0.0.0",
      mtu: 1_000,
    });
    this.say(emitUpdate({ mac, nonce, datagram: datagram! }));
  }

  close(): void {
    this.#socket.close();
  }
}
