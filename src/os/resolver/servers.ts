/** The host's own DNS servers. Read resolv.conf(5). */
import { readFileSync } from "node:fs";
import { canonicalAddress, type Endpoint } from "../../core/address.ts";

/** The UDP and TCP port of DNS servers (RFC 1035 §4.2). */
const DNS_PORT = 53;

const RESOLV_CONF = "/etc/resolv.conf";
/** As the C library: no more than three, and this host where none is named. */
const SERVERS_MOST = 3;
const LOCAL: Endpoint = { address: "127.0.0.1", port: DNS_PORT };

/** The servers of this host, in their order. */
export function systemServers(): readonly Endpoint[] {
  try {
    return parseServers(readFileSync(RESOLV_CONF, "utf8"));
  } catch {
    return [LOCAL];
  }
}

/** The servers that a resolv.conf names; link-local ones, which need an interface, are left out. */
export function parseServers(text: string): readonly Endpoint[] {
  const servers = text
    .split("\n")
    .flatMap((line) => /^nameserver[ \t]+(\S+)/.exec(line)?.[1] ?? [])
    .flatMap((word) => canonicalAddress(word) ?? [])
    .slice(0, SERVERS_MOST)
    .map((address) => ({ address, port: DNS_PORT }));
  return servers.length > 0 ? servers : [LOCAL];
}
