/**
 * A gateway or a relay that says what it is told to, right or wrong. Its one argument is a Plan as
 * JSON; it says "ready" when its socket is open, and "done" when all is said.
 */
import dgram from "node:dgram";
import { once } from "node:events";
import { AMT_DISCOVERY, AMT_QUERY, AMT_REQUEST } from "../../assembly/layout/amt.ts";
import { type Endpoint, type Family, familyOf } from "../../src/core/address.ts";
import {
  DiscoveryView,
  QueryView,
  RequestView,
  amtType,
  emitAdvertisement,
  emitDiscovery,
  emitQuery,
  emitRequest,
  emitTeardown,
  emitUpdate,
} from "../../src/wire/amt.ts";
import { emitMembershipDatagram, generalQuery } from "../../src/wire/membership-datagram.ts";
import type { MembershipMessage } from "../../src/wire/membership.ts";
import { fixChecksums } from "../wire/fix-checksums.ts";

/** How a right message is made wrong: octets at places of it, then a new length. */
export interface Damage {
  readonly set?: readonly (readonly [at: number, octet: number])[];
  readonly length?: number;
  /** The inner datagram starts here, and its checksums are made right again. */
  readonly mend?: number;
}

export type Step = Damage &
  (
    | { readonly say: "discovery"; readonly nonce: number }
    | {
        readonly say: "request";
        readonly nonce: number;
        readonly family: Family;
        readonly misplacedP?: boolean;
        /** The Query that answers is waited for. */
        readonly answered?: boolean;
      }
    | { readonly say: "update"; readonly message: MembershipMessage }
    | { readonly say: "teardown"; readonly gateway?: Endpoint }
    | { readonly say: "hex"; readonly octets: string }
    /** Waits for as many Multicast Data messages. */
    | { readonly say: "nothing"; readonly data: number }
  );

export type Plan = { readonly local: Endpoint } & (
  | { readonly role: "gateway"; readonly relay: Endpoint; readonly steps: readonly Step[] }
  /** Answers each Discovery and Request by these, in order: the damaged ones first. */
  | {
      readonly role: "relay";
      readonly advertisements: readonly (Damage & { readonly relay?: string })[];
      readonly queries: readonly (Damage & { readonly nonceOff?: number })[];
    }
);

const plan = JSON.parse(process.argv[2]!) as Plan;
const socket = dgram.createSocket(familyOf(plan.local.address) === 4 ? "udp4" : "udp6");
const SENDER = {
  4: { family: 4, source: "0.0.0.0" },
  6: { family: 6, source: "fe80::2" },
} as const;
const MAC = Uint8Array.of(0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6);

function damaged(octets: Uint8Array, { set = [], length, mend }: Damage): Uint8Array {
  const copy = new Uint8Array(Math.max(octets.length, length ?? 0));
  copy.set(octets);
  for (const [at, octet] of set) copy[at] = octet;
  if (mend !== undefined) fixChecksums(copy.subarray(mend, octets.length));
  return copy.subarray(0, length ?? octets.length);
}

async function speak(relay: Endpoint, steps: readonly Step[]): Promise<void> {
  let query: QueryView | undefined;
  let data = 0;
  let heard = () => {};
  socket.on("message", (octets: Uint8Array) => {
    if (amtType(octets) === AMT_QUERY) query = new QueryView(octets);
    else data++;
    heard();
  });
  const until = async (arrived: () => boolean) => {
    while (!arrived()) await new Promise<void>((resolve) => (heard = resolve));
  };
  for (const step of steps) {
    if (step.say === "nothing") {
      const before = data;
      await until(() => data >= before + step.data);
      continue;
    }
    const octets = damaged(message(step, query), step);
    const before: QueryView | undefined = query;
    await new Promise((resolve) => socket.send(octets, relay.port, relay.address, resolve));
    if (step.say === "request" && step.answered !== false) await until(() => query !== before);
  }
}

function message(step: Exclude<Step, { say: "nothing" }>, query: QueryView | undefined) {
  switch (step.say) {
    case "discovery":
      return emitDiscovery(step.nonce);
    case "request":
      return emitRequest(step.nonce, { ecn: false, ...step });
    case "update": {
      const { family } = innerOf(step.message);
      const datagram = emitMembershipDatagram(step.message, SENDER[family]);
      return emitUpdate({ mac: query!.mac, nonce: query!.nonce, datagram });
    }
    case "teardown": {
      const gateway = step.gateway ?? query!.gateway ?? plan.local;
      return emitTeardown({ mac: query!.mac, nonce: query!.nonce, gateway });
    }
    case "hex":
      return Uint8Array.from(Buffer.from(step.octets.replaceAll(" ", ""), "hex"));
  }
}

function innerOf(message: MembershipMessage): { readonly family: Family } {
  const group = message.kind === "report" ? message.records[0]!.group : message.group;
  return { family: familyOf(group ?? "0.0.0.0") };
}

function answer(octets: Uint8Array, from: Endpoint, said: Extract<Plan, { role: "relay" }>) {
  const send = (reply: Uint8Array, damage: Damage) =>
    socket.send(damaged(reply, damage), from.port, from.address);
  switch (amtType(octets) ?? 0) {
    case AMT_DISCOVERY:
      for (const each of said.advertisements) {
        const { relay = plan.local.address } = each;
        send(emitAdvertisement(new DiscoveryView(octets).nonce, relay), each);
      }
      return;
    case AMT_REQUEST:
      for (const each of said.queries) {
        const { family, nonce } = new RequestView(octets);
        const general = generalQuery(family, { robustness: 2, queryInterval: 125_000 });
        const datagram = emitMembershipDatagram(general, SENDER[family]);
        const fields = { mac: MAC, limit: false, gateway: from, datagram };
        send(emitQuery({ ...fields, nonce: (nonce + (each.nonceOff ?? 0)) >>> 0 }), each);
      }
  }
}

socket.bind(plan.local.port, plan.local.address);
await once(socket, "listening");
process.stdout.write("ready\n");
if (plan.role === "gateway") {
  await speak(plan.relay, plan.steps);
  process.stdout.write("done\n");
} else
  socket.on("message", (octets: Uint8Array, { address, port }: dgram.RemoteInfo) =>
    answer(octets, { address, port }, plan),
  );
process.stdin.on("end", () => socket.close()).resume();
