/**
 * What is fuzzed: one target for each parser and walker of octets from outside. A target gets any
 * octets, throws when a promise is broken, and else says in a word what became of them.
 */
import assert from "node:assert/strict";
import {
  AMT_ADVERTISEMENT,
  AMT_DATA,
  AMT_DISCOVERY,
  AMT_QUERY,
  AMT_REQUEST,
  AMT_TEARDOWN,
  AMT_UPDATE,
} from "../../assembly/layout/amt.ts";
import { canonicalAddress, parseAddress } from "../../src/core/address.ts";
import { DROPS, type Drop, verdictName } from "../../src/core/drops.ts";
import * as amt from "../../src/wire/amt.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import { emitTooBig, parseTooBig, readHead } from "../../src/wire/icmp.ts";
import { igmpLength, parseIgmp, writeIgmp } from "../../src/wire/igmp.ts";
import * as l2tp from "../../src/wire/l2tp.ts";
import {
  emitMembershipDatagram,
  parseMembershipDatagram,
} from "../../src/wire/membership-datagram.ts";
import type { MembershipMessage } from "../../src/wire/membership.ts";
import { mldLength, parseMld, writeMld } from "../../src/wire/mld.ts";
import { hopByHopAlerts, ipv4Alerts } from "../../src/wire/router-alert.ts";
import { AMT_VECTORS } from "../vectors/amt.ts";
import { hex } from "../vectors/hex.ts";
import { L2TP_VECTORS } from "../vectors/l2tp.ts";
import { fixChecksums, fixIgmp, fixMld } from "../wire/fix-checksums.ts";

export interface FuzzTarget {
  readonly seeds: readonly Uint8Array[];
  /** Makes the checksums right, in place, so that what lies behind them is reached. */
  readonly fix: (octets: Uint8Array) => void;
  readonly run: (octets: Uint8Array) => string;
}

const messages = AMT_VECTORS.map(({ octets }) => octets);
/** The datagrams in Queries and Updates. */
const datagrams = messages
  .filter((octets) => octets[0] === AMT_QUERY || octets[0] === AMT_UPDATE)
  .map((octets) => octets.subarray(12));
const igmp = datagrams.filter((octets) => octets[0] === 0x46).map((octets) => octets.subarray(24));
const mld = datagrams.filter((octets) => octets[0] === 0x60).map((octets) => octets.subarray(48));
/** Of some pseudo-header. */
const MLD_SUM = 0x4321;

const VERDICTS = new Set<number>(DROPS.map(({ verdict }) => verdict));

/** A drop reason must be one of the table. */
function refused(verdict: Drop): string {
  assert.ok(VERDICTS.has(verdict), `${verdict} is no drop reason`);
  return verdictName(verdict);
}

function word(message: MembershipMessage): string {
  const count = message.kind === "report" ? Math.min(message.records.length, 3) : "";
  return `${message.kind}${message.generation}${count}`;
}

/** The same octets with others around them, which must make no difference. */
function amid(octets: Uint8Array): Uint8Array {
  const around = new Uint8Array(octets.length + 64).fill(0xa5);
  around.set(octets, 17);
  return around.subarray(17, 17 + octets.length);
}

/** What an AMT message says, and the octets of saying it again. */
function amtMeaning(octets: Uint8Array): { word: string; again?: Uint8Array; says?: unknown } {
  const type = amt.amtType(octets);
  switch (type) {
    case AMT_DISCOVERY: {
      const view = amt.parseDiscovery(octets);
      if (typeof view === "number") return { word: refused(view) };
      return { word: "discovery", says: view.nonce, again: amt.emitDiscovery(view.nonce) };
    }
    case AMT_ADVERTISEMENT: {
      const view = amt.parseAdvertisement(octets);
      if (typeof view === "number") return { word: refused(view) };
      const again = amt.emitAdvertisement(view.nonce, view.relay);
      return { word: `advertisement${octets.length}`, says: [view.nonce, view.relay], again };
    }
    case AMT_REQUEST: {
      const view = amt.parseRequest(octets);
      if (typeof view === "number") return { word: refused(view) };
      const { nonce, family, ecn } = view;
      return {
        word: `request${family}`,
        says: [nonce, family, ecn],
        again: amt.emitRequest(nonce, view),
      };
    }
    case AMT_QUERY: {
      const view = amt.parseQuery(octets);
      if (typeof view === "number") return { word: refused(view) };
      const { mac, nonce, limit, gateway, datagram } = view;
      const says = [mac, nonce, limit, gateway, datagram];
      return { word: `query${gateway ? "G" : ""}`, says, again: amt.emitQuery(view) };
    }
    case AMT_UPDATE: {
      const view = amt.parseUpdate(octets);
      if (typeof view === "number") return { word: refused(view) };
      const says = [view.mac, view.nonce, view.datagram];
      return { word: "update", says, again: amt.emitUpdate(view) };
    }
    case AMT_DATA: {
      const view = amt.parseMulticastData(octets);
      return typeof view === "number"
        ? { word: refused(view) }
        : { word: "data", says: view.datagram };
    }
    case AMT_TEARDOWN: {
      const view = amt.parseTeardown(octets);
      if (typeof view === "number") return { word: refused(view) };
      const says = [view.mac, view.nonce, view.gateway];
      return { word: "teardown", says, again: amt.emitTeardown(view) };
    }
    case undefined:
      return { word: "no type" };
    default:
      return { word: `type ${type}` };
  }
}

/** What an L2TP message says, in a word, and the octets of saying it again. */
function l2tpMeaning(
  octets: Uint8Array,
  encapsulation: l2tp.Encapsulation,
): { word: string; again?: Uint8Array; says?: unknown } {
  const message = l2tp.parseMessage(octets, encapsulation);
  if (typeof message === "number") return { word: refused(message) };
  if (message.kind === "data") {
    const again =
      message.version === 2
        ? l2tp.emitDataV2(message)
        : l2tp.emitDataV3(encapsulation, message.sessionId, message.rest);
    return { word: `data${message.version}`, says: message, again };
  }
  const { version, avps } = message;
  const list = l2tp.parseAvps(avps);
  if (typeof list === "number")
    return { word: `control${version} ${refused(list)}`, says: message };
  const says = [message.connection, message.ns, message.nr, list];
  const word = `control${version} ${Math.min(list.length, 3)} ${l2tp.messageType(list) ?? "none"}`;
  if (list.some(({ reserved }) => reserved)) return { word, says };
  const again = l2tp.emitControl({ ...message, avps: l2tp.emitAvps(list) }, encapsulation);
  return { word, says, again };
}

function l2tpTarget(encapsulation: l2tp.Encapsulation): FuzzTarget {
  const vectors = L2TP_VECTORS.filter((vector) => vector.encapsulation === encapsulation);
  return {
    seeds: vectors.map(({ octets }) => octets),
    fix: () => {},
    run(octets) {
      const meaning = l2tpMeaning(octets, encapsulation);
      assert.deepEqual(l2tpMeaning(amid(octets), encapsulation), meaning);
      if (meaning.again)
        assert.deepEqual(l2tpMeaning(meaning.again, encapsulation).says, meaning.says);
      return meaning.word;
    },
  };
}

export const TARGETS: Readonly<Record<string, FuzzTarget>> = {
  amt: {
    seeds: messages,
    fix: () => {},
    run(octets) {
      const meaning = amtMeaning(octets);
      assert.deepEqual(amtMeaning(amid(octets)), meaning);
      if (meaning.again) assert.deepEqual(amtMeaning(meaning.again).says, meaning.says);
      return meaning.word;
    },
  },

  "l2tp-udp": l2tpTarget("udp"),
  "l2tp-ip": l2tpTarget("ip"),

  igmp: {
    seeds: igmp,
    fix: (octets) => fixIgmp(octets, 0, octets.length),
    run(octets) {
      const said = parseIgmp(octets);
      assert.deepEqual(parseIgmp(amid(octets)), said);
      if (typeof said === "number") return refused(said);
      const again = new Uint8Array(igmpLength(said)).fill(0xa5);
      assert.equal(writeIgmp(said, again, 0), again.length);
      assert.ok(again.length <= octets.length);
      assert.deepEqual(parseIgmp(again), said);
      return word(said);
    },
  },

  mld: {
    seeds: mld,
    fix: (octets) => fixMld(octets, MLD_SUM),
    run(octets) {
      const said = parseMld(octets, MLD_SUM);
      assert.deepEqual(parseMld(amid(octets), MLD_SUM), said);
      if (typeof said === "number") return refused(said);
      const again = new Uint8Array(mldLength(said)).fill(0xa5);
      assert.equal(writeMld(said, again, 0, MLD_SUM), again.length);
      assert.ok(again.length <= octets.length);
      assert.deepEqual(parseMld(again, MLD_SUM), said);
      return word(said);
    },
  },

  "membership-datagram": {
    seeds: datagrams,
    fix: fixChecksums,
    run(octets) {
      const strict = parseMembershipDatagram(octets);
      assert.deepEqual(parseMembershipDatagram(amid(octets)), strict);
      const checks = { requireRouterAlert: false, requireHopLimit: false };
      const read = parseMembershipDatagram(octets, checks);
      if ("drop" in read) {
        assert.ok("drop" in strict, "accepted only when more is asked");
        return refused(read.drop);
      }
      if (!("drop" in strict)) assert.deepEqual(strict, read);
      assert.ok(read.length <= octets.length);
      assert.deepEqual(parseMembershipDatagram(octets.subarray(0, read.length), checks), read);
      const again = parseMembershipDatagram(emitMembershipDatagram(read.message, read));
      if ("drop" in again) assert.fail(`own datagram: ${verdictName(again.drop)}`);
      assert.deepEqual([again.source, again.message], [read.source, read.message]);
      const alike = "drop" in strict ? refused(strict.drop) : "strict";
      return `${read.family} ${word(read.message)} ${alike}`;
    },
  },

  "router-alert": {
    seeds: ["94040000", "0101019404000000", "3a00050200000100", "3a013e03aabbcc00050200000000"].map(
      hex,
    ),
    fix: () => {},
    run(octets) {
      const around = amid(octets);
      const ipv4 = ipv4Alerts(octets, 0, octets.length);
      assert.equal(ipv4Alerts(around, 0, octets.length), ipv4);
      const ipv6 = hopByHopAlerts(octets, 0, octets.length);
      assert.equal(hopByHopAlerts(around, 0, octets.length), ipv6);
      return `${ipv4} ${ipv6}`;
    },
  },

  icmp: {
    seeds: [4, 6].flatMap((family) => {
      const head = datagrams.find((octets) => octets[0]! >> 4 === family)!.slice();
      head[family === 4 ? 9 : 6] = 17; // as if it were UDP
      return [head, emitTooBig(head, family === 4 ? 4 : 6, 1_400)];
    }),
    fix(octets) {
      if (octets.length < 8) return;
      octets[2] = octets[3] = 0;
      const sum = internetChecksum(octets, 0, octets.length);
      octets[2] = sum >> 8;
      octets[3] = sum;
    },
    run(octets) {
      const around = amid(octets);
      assert.deepEqual(readHead(around), readHead(octets));
      const words = ([4, 6] as const).map((family) => {
        const said = parseTooBig(octets, family);
        assert.deepEqual(parseTooBig(around, family), said);
        if (said === undefined) return "none";
        assert.ok(said.payload.length <= octets.length - 8);
        return said.payload.length > 0 ? "payload" : "bare";
      });
      return `${words.join(" ")} ${readHead(octets)?.unanswerable}`;
    },
  },

  address: {
    seeds: ["192.0.2.44", "2001:db8:44::44", "::ffff:203.0.113.5", "1:2:3:4:5:6:7:8", "::"].map(
      (text) => Uint8Array.from(Buffer.from(text, "latin1")),
    ),
    fix: () => {},
    run(octets) {
      const text = Buffer.from(octets).toString("latin1");
      const canonical = canonicalAddress(text);
      if (canonical === undefined) return "none";
      assert.equal(canonicalAddress(canonical), canonical);
      assert.deepEqual(parseAddress(canonical), parseAddress(text));
      return canonical.includes("::") ? "short" : canonical.includes(":") ? "ipv6" : "ipv4";
    },
  },
};
