/** Generated L2TP sessions, the frames that they carry, and datagrams that they may refuse. */
import fc from "fast-check";
import {
  PSEUDOWIRES,
  type L2tpSessionOptions,
  type Pseudowire,
  type SublayerName,
} from "../../src/engine/l2tp-session.ts";

/** Both ends of a session: what one sends is what the other expects. */
export interface Ends {
  readonly a: L2tpSessionOptions;
  readonly b: L2tpSessionOptions;
}

const ATM: readonly Pseudowire[] = ["aal5", "atm-port", "atm-vcc", "atm-vpc"];
const ALL = Object.keys(PSEUDOWIRES) as Pseudowire[];

const cookie = fc
  .constantFrom(0, 4, 8)
  .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
const id32 = fc.integer({ min: 1, max: 0xffff_ffff });
const id16 = fc.integer({ min: 1, max: 0xffff });

interface Direction {
  readonly cookie: Uint8Array;
  readonly sublayer: SublayerName;
  readonly sequence: boolean;
}

function directionOf(pseudowire: Pseudowire): fc.Arbitrary<Direction> {
  const sublayers: SublayerName[] = ATM.includes(pseudowire)
    ? ["none", "default", "atm"]
    : ["none", "default"];
  return fc
    .record({ cookie, sublayer: fc.constantFrom(...sublayers), sequence: fc.boolean() })
    .map((way) => ({ ...way, sequence: way.sequence && way.sublayer !== "none" }));
}

const endsV3: fc.Arbitrary<Ends> = fc.constantFrom(...ALL).chain((pseudowire) =>
  fc
    .record({
      encapsulation: fc.constantFrom("udp" as const, "ip" as const),
      idA: id32,
      idB: id32,
      keyed: fc.boolean(),
      there: directionOf(pseudowire),
      back: directionOf(pseudowire),
      strict: fc.boolean(),
      vlan: fc.option(fc.integer({ min: 0, max: 0xffe }), { nil: undefined }),
      restartAfter: fc.constantFrom(0, 2, 16),
    })
    .map(({ encapsulation, idA, idB, keyed, there, back, strict, vlan, restartAfter }) => {
      const end = (
        from: Direction,
        to: Direction,
        [own, peer]: readonly [number, number],
        tag: number | undefined,
      ): L2tpSessionOptions => ({
        encapsulation,
        pseudowire,
        sessionId: keyed && encapsulation === "ip" ? 0 : own,
        peerSessionId: peer,
        cookie: from.cookie,
        peerCookie: to.cookie,
        sublayer: from.sublayer,
        peerSublayer: to.sublayer,
        sequence: from.sequence,
        peerSequence: strict && to.sequence ? "require" : "accept",
        restartAfter,
        ...(tag === undefined || pseudowire !== "vlan" ? {} : { vlan: tag }),
      });
      return {
        a: end(there, back, [idA, idB], vlan),
        b: end(back, there, [idB, idA], vlan === undefined ? undefined : vlan + 1),
      };
    }),
);

const endsV2: fc.Arbitrary<Ends> = fc
  .record({
    ids: fc.tuple(id16, id16, id16, id16),
    pseudowire: fc.constantFrom("ppp" as const, "hdlc" as const, "ethernet" as const),
    sequence: fc.boolean(),
    length: fc.boolean(),
    offset: fc.option(fc.integer({ min: 0, max: 32 }), { nil: undefined }),
  })
  .map(({ ids: [tunnelA, tunnelB, idA, idB], pseudowire, sequence, length, offset }) => {
    const common = {
      version: 2 as const,
      pseudowire,
      length,
      ...(offset !== undefined && { offset }),
    };
    const own = { tunnelId: tunnelA, sessionId: idA, peerTunnelId: tunnelB, peerSessionId: idB };
    const other = { tunnelId: tunnelB, sessionId: idB, peerTunnelId: tunnelA, peerSessionId: idA };
    return {
      a: { ...common, ...own, sequence },
      b: { ...common, ...other, peerSequence: "mirror" as const },
    };
  });

export const ends: fc.Arbitrary<Ends> = fc.oneof({ weight: 3, arbitrary: endsV3 }, endsV2);

const body = fc.uint8Array({ minLength: 40, maxLength: 130 });

/** A frame that a session of these options may send. */
export function frameOf(options: L2tpSessionOptions): fc.Arbitrary<Uint8Array> {
  const { pseudowire = options.version === 2 ? "ppp" : "ethernet" } = options;
  const isMarked = options.sublayer === "atm" || options.peerSublayer === "atm";
  const frame = sound(pseudowire, options.vlan);
  if (!isMarked) return frame;
  const bits = fc.nat({ max: pseudowire === "aal5" ? 7 : 15 });
  return fc.tuple(bits, frame).map(([mark, frame]) => Uint8Array.of(mark, 0, 0, 0, ...frame));
}

function sound(pseudowire: Pseudowire, vlan: number | undefined): fc.Arbitrary<Uint8Array> {
  switch (pseudowire) {
    case "vlan":
      return fc.tuple(body, fc.constantFrom(0x8100, 0x88a8)).map(([frame, type]) => {
        frame.set([type >> 8, type & 0xff], 12);
        if (vlan !== undefined) frame.set([(frame[14]! & 0xf0) | (vlan >> 8), vlan & 0xff], 14);
        return frame;
      });
    case "frame-relay":
      return fc.tuple(body, fc.boolean()).map(([frame, isLong]) => {
        for (let i = 0; i < 4; i++) frame[i]! &= 0xfe;
        frame[isLong ? 3 : 1]! |= 1;
        return frame;
      });
    case "atm-port":
    case "atm-vcc":
    case "atm-vpc":
      return fc
        .tuple(fc.integer({ min: 1, max: 4 }), fc.nat({ max: 255 }))
        .map(([cells, octet]) => new Uint8Array(52 * cells).fill(octet));
    case "ip":
      return fc.tuple(body, fc.constantFrom(4, 6)).map(([frame, version]) => {
        frame[0] = (version << 4) | (frame[0]! & 0x0f);
        return frame;
      });
    case "aal5":
    case "ethernet":
    case "hdlc":
    case "ppp":
      return body;
  }
}

/** Changes octets of a packet, cuts it off, or lets it go on. */
export interface Edit {
  readonly octets: readonly (readonly [at: number, value: number])[];
  readonly keep: number;
  readonly more: Uint8Array;
}

export const edit: fc.Arbitrary<Edit> = fc.record({
  octets: fc.array(fc.tuple(fc.nat({ max: 30 }), fc.nat({ max: 255 })), { maxLength: 3 }),
  keep: fc.oneof({ weight: 3, arbitrary: fc.constant(1_000) }, fc.nat({ max: 40 })),
  more: fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 3 })),
});

export function edited(packet: Uint8Array, { octets, keep, more }: Edit): Uint8Array {
  const changed = packet.slice(0, keep);
  for (const [at, value] of octets) if (at < changed.length) changed[at] = value;
  return Uint8Array.of(...changed, ...more);
}
