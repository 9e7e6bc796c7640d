/** What speakers say to a relay: a join and a leave, and messages that it must refuse. */
import { AMT_MEMBERSHIP } from "../../assembly/layout/amt.ts";
import { SOURCES } from "../../src/lab/tree.ts";
import type { MembershipMessage } from "../../src/wire/membership.ts";
import type { Step } from "./speaker.ts";

export const JOIN: MembershipMessage = {
  kind: "report",
  generation: 3,
  records: [{ kind: "allow", group: "232.1.1.1", sources: [SOURCES[0]] }],
};
export const LEAVE: MembershipMessage = {
  kind: "report",
  generation: 3,
  records: [{ kind: "block", group: "232.1.1.1", sources: [SOURCES[0]] }],
};
export const ASK = { say: "request", nonce: 0x5eed0003, family: 4 } as const;

/** Where the inner datagram of an Update has its Router Alert, total length and last octet. */
export const INNER = AMT_MEMBERSHIP;
const INNER_LENGTH = 44;

/** Each octet of the Router Alert of an Update's inner datagram, as this. */
export function routerAlert(octet: number): (readonly [number, number])[] {
  const places = [20, 21, 22, 23];
  return places.map((at) => [INNER + at, octet]);
}

const QUERY: MembershipMessage = {
  kind: "query",
  generation: 2,
  group: undefined,
  sources: [],
  maxResponse: 1_000,
  suppress: false,
  robustness: 0,
  queryInterval: 0,
};

/** What is no message of AMT, or not one of a gateway's. */
const OCTETS = [
  "",
  "13000000 5eed0001",
  "00000000 5eed0001",
  "0f000000 5eed0001",
  "01000000",
  "01000000 00000000",
  "02000000 1badcafe c0000201",
  "03000000",
  "0400a1a2 a3a4a5a6 5eed0001",
  "05000000 0000",
  "0600",
  "07000000 00000000",
];

/** A join that is changed on its way. */
function joinWith(
  change: Omit<Extract<Step, { readonly say: "update" }>, "say" | "message">,
): Step {
  return { say: "update", message: JOIN, ...change };
}

/** Each is refused for a reason of its own; then comes one who does right. */
export const MALFORMED: readonly Step[] = [
  ...OCTETS.map((octets): Step => ({ say: "hex", octets })),
  ASK,
  // The MAC, the inner version, length, checksum, Router Alert, protocol; then what IGMP says.
  joinWith({ set: [[2, 0]] }),
  joinWith({ set: [[INNER, 0x56]] }),
  joinWith({ set: [[INNER + 3, 0xff]] }),
  joinWith({ length: INNER + INNER_LENGTH - 1 }),
  joinWith({ set: [[INNER + 10, 0]] }),
  joinWith({ set: [[INNER + INNER_LENGTH - 1, 0xff]] }),
  joinWith({ set: routerAlert(1), mend: INNER }),
  joinWith({ set: [[INNER + 9, 17]], mend: INNER }),
  joinWith({ set: [[INNER + 24 + 7, 9]], mend: INNER }),
  joinWith({ set: [[INNER + 24 + 11, 200]], mend: INNER }),
  { say: "update", message: { kind: "join", generation: 1, group: "239.1.1.1" } },
  { say: "update", message: QUERY },
  { say: "teardown", set: [[2, 0]] },
  { say: "teardown" },
  // And it still serves who does right.
  joinWith({}),
  { say: "nothing", data: 1 },
  { say: "teardown" },
];
