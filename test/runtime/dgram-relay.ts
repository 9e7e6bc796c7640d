/** A whole AMT relay on loopback, of nothing but Node: its machine, and the reference engine. */
import type { Socket } from "node:dgram";
import type { TestContext } from "node:test";
import type { Endpoint } from "../../src/core/address.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { openDgram } from "../../src/os/dgram.ts";
import { AmtRelay, type RelayInput, type RelayOutput } from "../../src/protocols/amt/relay.ts";
import { Driver } from "../../src/runtime/driver.ts";
import { DataPlane } from "../protocols/amt/data-plane.ts";
import { seededEntropy } from "../sim/entropy.ts";

export class DgramRelay {
  readonly endpoint: Endpoint;
  /** Types of the messages that the machine took. */
  readonly accepted: number[] = [];
  readonly #socket: Socket;
  readonly #driver: Driver<RelayInput, RelayOutput>;
  readonly #plane = new DataPlane();
  readonly #gateways = new Map<number, Endpoint>();
  readonly #engine = createReferenceEngine();
  #changed: () => void = () => {};

  /** A relay that goes with the test. */
  static async start(t: TestContext): Promise<DgramRelay> {
    const relay = new DgramRelay(await openDgram({ address: "127.0.0.1", port: 0 }));
    t.after(() => relay.#close());
    return relay;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.endpoint = { address: "127.0.0.1", port: socket.address().port };
    const machine = new AmtRelay({
      relayAddresses: ["127.0.0.1"],
      maxTunnels: 10,
      maxTunnelsPerAddress: 10,
      maxGroups: 10,
      maxSources: 10,
      queryInterval: 125_000,
      queryResponseInterval: 10_000,
      robustness: 2,
      secretInterval: 7_200_000,
      requireRouterAlert: true,
      entropy: seededEntropy(7),
    });
    this.#driver = new Driver<RelayInput, RelayOutput>(machine, { kind: "timeout" }, (output) =>
      this.#take(output),
    );
    socket.on("message", (octets, { address, port }) =>
      this.#driver.handle({
        kind: "datagram",
        octets,
        from: { address, port },
        to: this.endpoint,
      }),
    );
  }

  /** Settles when some gateway gets packets of this source and group. */
  joined(group: string, source: string): Promise<void> {
    return this.#until(() =>
      [...this.#gateways.keys()].some((tunnel) => this.#plane.gets(tunnel, group, source)),
    );
  }

  /** Settles when all gateways have torn their tunnels down. */
  left(): Promise<void> {
    return this.#until(() => this.#gateways.size === 0);
  }

  /** Sends a datagram to all gateways that want it; settles when Node has it sent. */
  async deliver(datagram: Uint8Array, group: string, source: string): Promise<void> {
    const message = new Uint8Array(datagram.length + 2);
    const length = this.#engine.amtEncapsulate(datagram, message);
    for (const [tunnel, { address, port }] of this.#gateways)
      if (this.#plane.gets(tunnel, group, source))
        await new Promise<void>((resolve) =>
          this.#socket.send(message.subarray(0, length), port, address, () => resolve()),
        );
    await new Promise((resolve) => setImmediate(resolve));
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#changed = resolve));
  }

  #close(): void {
    this.#driver.close();
    this.#socket.close();
  }

  #take(output: RelayOutput): void {
    if (output.kind === "send") this.#socket.send(output.octets, output.to.port, output.to.address);
    else if (output.kind === "accepted") this.accepted.push(output.type);
    else if (output.kind === "tunnel-up") this.#gateways.set(output.tunnel, output.gateway);
    else if (output.kind === "tunnel-down") this.#gateways.delete(output.tunnel);
    else if (output.kind === "route" || output.kind === "member") this.#plane.apply(output);
    this.#changed();
  }
}
