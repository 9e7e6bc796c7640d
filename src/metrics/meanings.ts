/** What the counters of a status mean, by the names that `culvert status` and its JSON have. */
import { SERVICE_COUNTERS, SESSION_COUNTERS, totalName } from "./l2tp.ts";

/** Counters whose names stand in the source. */
export const MEANINGS: Readonly<Record<string, string>> = {
  ingest_received: "packets that a relay took from its ingress, once for each of its lanes",
  ingest_forwarded: "of these, those that some gateway of the lane is sent",
  ingest_punted: "of these, those that the control thread was handed",
  socket_received: "datagrams that came to the AMT socket",
  socket_forwarded: "of these, data that was delivered",
  socket_punted: "of these, control messages, which the control thread was handed",
  device_received: "packets that the host sent to a gateway's device",
  device_forwarded: "of these, those that were passed on",
  device_punted: "of these, IGMP and MLD, which the control thread was handed",
  egress_queued: "copies for gateways, or datagrams for a device or an output",
  egress_sent: "of these, those that the system took",
  egress_messages: "messages given to the system, each of one or many datagrams",
  egress_calls: "system calls that sent",
  egress_octets: "octets of UDP payload sent, or of what was delivered",
  egress_back_pressure: "times that the system took no more for now",
  receive_messages: "messages taken from the system",
  receive_calls: "system calls that received",
  ring_frames: "frames taken from a packet ring, without a system call",
  commands_applied: "changes of the tables that reached the lanes",
  datagrams_fragmented: "datagrams that were cut into inner fragments",
  datagrams_fragmented_for_path: "of these, those cut for tunnels of a smaller MTU than others",
  too_big_noted: "datagrams and messages that were too big, and that the control thread was shown",
  super_packets_segmented: "super-packets that were segmented on arrival",
  checksums_completed: "partial checksums that were completed",
  ecn_unexpected: "pairs of ECN fields, inner and outer, that should not meet (RFC 6040 §4.2)",
  control_unsent: "control messages that the system refused to send",
  ingress_lost: "packets of the ingress that the system dropped for want of room",
  upstream_joins_waiting: "joins upstream that the system refused, to be tried again",
  icmp_too_big_sent: "ICMP messages to sources about an MTU that they exceed",
  icmp_too_big_unsent: "of those that were due, the ones that the system refused to send",
  amt_path_mtu_reduced: "tunnels whose path MTU became smaller, as ICMP said",
  amt_path_mtu_forgotten: "tunnels whose path MTU is that of the first hop again",
  downstream_membership_received: "IGMP and MLD packets heard on downstream interfaces",
  downstream_queries_sent: "queries sent on downstream interfaces",
  downstream_queries_unsent: "queries that the system refused to send there",
  older_querier_igmp: "queries of an older version than the one spoken, IGMP",
  older_querier_mld: "queries of an older version than the one spoken, MLD",
  ...SERVICE_COUNTERS,
  ...Object.fromEntries(
    SESSION_COUNTERS.map((row) => [totalName(row), `${row.what}, of all L2TP sessions`]),
  ),
};

/** Of them, those that go down as well as up. */
export const GAUGES: ReadonlySet<string> = new Set([
  "l2tp_sessions",
  "l2tp_tunnels",
  "upstream_joins_waiting",
]);

/** What a counter means, also one whose name is made of a message's or a quirk's. */
export function meaningOf(counter: string): string {
  const known = MEANINGS[counter];
  if (known !== undefined) return known;
  const message = /^amt_(\w+)_accepted$/.exec(counter)?.[1];
  if (message !== undefined) return `AMT messages of type ${message} that were obeyed`;
  const quirk = /^amt_quirk_(\w+)$/.exec(counter)?.[1];
  if (quirk !== undefined) return `times that a deployed peer's way was followed: ${quirk}`;
  return counter.replaceAll("_", " ");
}
