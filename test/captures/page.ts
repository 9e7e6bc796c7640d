/** `docs/captures.md`: every capture with what each of its packets says. */
import {
  AMT_ADVERTISEMENT,
  AMT_DATA,
  AMT_DISCOVERY,
  AMT_QUERY,
  AMT_REQUEST,
  AMT_TEARDOWN,
  AMT_UPDATE,
} from "../../assembly/layout/amt.ts";
import * as ip from "../../assembly/layout/ip.ts";
import { endpointText } from "../../src/core/address.ts";
import {
  amtType,
  parseAdvertisement,
  parseDiscovery,
  parseMulticastData,
  parseQuery,
  parseRequest,
  parseTeardown,
  parseUpdate,
} from "../../src/wire/amt.ts";
import { parseMembershipDatagram } from "../../src/wire/membership-datagram.ts";
import type { MembershipMessage } from "../../src/wire/membership.ts";
import { toHex } from "../vectors/hex.ts";
import { type Captured, readCapture } from "./capture-file.ts";
import { replay } from "./expect.ts";
import { innerPair } from "./replay.ts";
import { type Party, SCENARIOS, type Scenario } from "./scenarios.ts";

const PARTIES: Readonly<Record<Party, string>> = {
  culvert: "Culvert",
  linux: "Linux's driver",
  speaker: "a program that says what it is told to",
};

export function page(): string {
  return `# Captures

<!-- Written by scripts/docs-captures.mjs from the files in test/captures; edit there. -->

Every AMT exchange, as it went over a wire between network namespaces. The files lie in
\`test/captures\`, each with the counters that its replay must give beside it. Tests play them through
both packet engines and through the relay's and the gateway's machine, on the captures' own clock
and with the secret that the relays had; the machines must say what was captured, octet for octet.

    tshark -r test/captures/igmpv3-over-ipv4.pcap        # prints AMT's P flag inverted
    node dist/test/captures/record.js [NAME...]          # records anew: root, tshark, after a build
    node dist/test/captures/record.js --expect           # only counts what replays give
    node scripts/docs-captures.mjs                       # writes this page

Those with Linux's driver need what the tests under \`test/driver\` need. A new record has new nonces,
MACs and times: read what changes in counters and on this page before it is committed.

${SCENARIOS.map(section).join("\n\n")}
`;
}

function section(scenario: Scenario): string {
  const { name, title, relay, gateway } = scenario;
  const packets = readCapture(name);
  const refused = new Map<number, string>();
  replay(scenario, packets, undefined, (number, reason) => refused.set(number, reason));
  const start = packets[0]!.at;
  const rows = packets.map((packet) => {
    const { number, at, from, to, up } = packet;
    const [left, arrow] = up ? [endpointText(from), "→"] : [endpointText(to), "←"];
    const reason = refused.get(number);
    const why = reason === undefined ? "" : `; dropped: \`${reason}\``;
    return `| ${number} | ${((at - start) / 1_000).toFixed(3)} | ${left} ${arrow} | ${described(packet)}${why} |`;
  });
  return `## ${name}

${title}. The relay is ${PARTIES[relay]}, the gateway ${PARTIES[gateway]}.

| packet | seconds | gateway | message |
| --- | --- | --- | --- |
${rows.join("\n")}`;
}

/** What a message says, in words. */
function described({ octets }: Captured): string {
  if (octets.length === 0) return "nothing";
  return read(octets) ?? `\`${toHex(octets.subarray(0, 16))}\``;
}

const hex32 = (value: number) => value.toString(16).padStart(8, "0");

/** Undefined for what cannot be read. */
function read(octets: Uint8Array): string | undefined {
  switch (amtType(octets) ?? 0) {
    case AMT_DISCOVERY: {
      const view = parseDiscovery(octets);
      if (typeof view === "number") return undefined;
      return `Relay Discovery, nonce ${hex32(view.nonce)}${longer(octets, 8)}`;
    }
    case AMT_ADVERTISEMENT: {
      const view = parseAdvertisement(octets);
      if (typeof view === "number") return undefined;
      return `Relay Advertisement of ${view.relay}, nonce ${hex32(view.nonce)}`;
    }
    case AMT_REQUEST: {
      const view = parseRequest(octets);
      if (typeof view === "number") return undefined;
      const flags = [
        view.family === 6 ? "P" : "",
        view.misplacedP ? "P at 0x80" : "",
        view.ecn ? "E" : "",
      ].filter(Boolean);
      const said = flags.length > 0 ? flags.join(", ") : "no flags";
      return `Request, ${said}, nonce ${hex32(view.nonce)}${longer(octets, 8)}`;
    }
    case AMT_QUERY: {
      const view = parseQuery(octets);
      if (typeof view === "number") return undefined;
      const gateway = view.gateway && `G ${endpointText(view.gateway)}`;
      const flags = [view.limit ? "L" : "", gateway ?? ""].filter(Boolean).join(", ");
      const said = flags === "" ? "" : `, ${flags}`;
      return `Membership Query${said}, ${proof(view)}: ${inner(view.datagram)}`;
    }
    case AMT_UPDATE: {
      const view = parseUpdate(octets);
      if (typeof view === "number") return undefined;
      return `Membership Update, ${proof(view)}: ${inner(view.datagram)}`;
    }
    case AMT_TEARDOWN: {
      const view = parseTeardown(octets);
      if (typeof view === "number") return undefined;
      return `Teardown of ${endpointText(view.gateway)}, ${proof(view)}`;
    }
    case AMT_DATA: {
      const view = parseMulticastData(octets);
      if (typeof view === "number" || view.datagram.length < ip.IPV4_HEADER) return undefined;
      const { source, group } = innerPair(view.datagram);
      return `Multicast Data of (${source}, ${group}), ${view.datagram.length} octets${fragment(view.datagram)}`;
    }
    default:
      return undefined;
  }
}

function longer({ length }: Uint8Array, own: number): string {
  return length > own ? `, ${length} octets long` : "";
}

function proof({ mac, nonce }: { readonly mac: Uint8Array; readonly nonce: number }): string {
  return `MAC ${toHex(mac)}, nonce ${hex32(nonce)}`;
}

function inner(datagram: Uint8Array): string {
  const read = parseMembershipDatagram(datagram, { requireRouterAlert: false });
  if (!("message" in read)) return "not to be read";
  return membership(read.message, read.family);
}

function membership(message: MembershipMessage, family: 4 | 6): string {
  const protocol = family === 4 ? "IGMP" : "MLD";
  const version = `${protocol}v${family === 4 ? message.generation : message.generation - 1}`;
  switch (message.kind) {
    case "query": {
      const of = message.group === undefined ? "General" : "Group-Specific";
      const interval = message.queryInterval / 1_000;
      const tail =
        message.generation === 3 ? `, QRV ${message.robustness}, QQIC ${interval} s` : "";
      return `${version} ${of} Query${tail}`;
    }
    case "join":
      return `${version} report for ${message.group}`;
    case "leave":
      return `${family === 4 ? "IGMPv2 leave" : "MLDv1 done"} for ${message.group}`;
    case "report": {
      const records = message.records.map(({ kind, group, sources }) => {
        const from = sources.length > 0 ? ` of ${sources.join(", ")}` : " of nothing";
        return `${kind.toUpperCase().replace("-", "_")} ${group}${from}`;
      });
      return `${version} report, ${records.join("; ") || "no records"}`;
    }
  }
}

/** Where a fragment belongs. */
function fragment(datagram: Uint8Array): string {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const isV4 = datagram[0]! >> 4 === 4;
  if (!isV4 && datagram[ip.IPV6_NEXT_HEADER] !== ip.PROTOCOL_FRAGMENT) return "";
  const field = view.getUint16(isV4 ? ip.IPV4_FRAGMENT : ip.IPV6_HEADER + 2);
  const offset = isV4 ? (field & ip.IPV4_OFFSET_MASK) * 8 : field & 0xfff8;
  const more = (field & (isV4 ? ip.IPV4_MF : 1)) !== 0;
  if (offset === 0 && !more) return "";
  return `, a fragment from octet ${offset} on${more ? "" : ", the last"}`;
}
