/** Tunnels and sessions as `ip l2tp show` writes them, and what Culvert counts besides. */
import type { L2tpSessionStatus, L2tpStatistics, L2tpTunnelStatus } from "../runtime/service.ts";

export function tunnelText(tunnel: L2tpTunnelStatus): string[] {
  const { mode, version, path_mtu: mtu, sessions, alive, socket_lost: lost } = tunnel;
  const keyed = mode === "keyed" ? ", keyed" : "";
  const peer = alive === undefined ? "" : `, peer ${alive ? "alive" : "dead"}`;
  return [
    `Tunnel ${tunnel.tunnel_id}, encap ${tunnel.encap}`,
    `  From ${tunnel.local} to ${tunnel.peer}`,
    `  Peer tunnel ${tunnel.peer_tunnel}`,
    ...(tunnel.encap === "UDP"
      ? [
          `  UDP source / dest ports: ${tunnel.local_port}/${tunnel.peer_port}`,
          `  UDP checksum: ${checksumText(tunnel)}`,
        ]
      : []),
    `  version ${version}${keyed}, path mtu ${mtu}, ${sessions} sessions${peer}${lost ? ", socket lost" : ""}`,
    ...statisticsText(tunnel.statistics),
  ];
}

function checksumText({ checksum, checksum_tx: tx, checksum_rx: rx }: L2tpTunnelStatus): string {
  if (checksum !== undefined) return checksum ? "enabled" : "disabled";
  if (tx && rx) return "enabled";
  return tx ? "tx" : rx ? "rx" : "disabled";
}

export function sessionText(session: L2tpSessionStatus): string[] {
  const numbering = [session.send_seq ? "send" : "", session.recv_seq ? "recv" : ""]
    .join(" ")
    .trim();
  const line = (text: string, value: string | number | undefined) =>
    value === undefined ? [] : [`  ${text} ${value}`];
  return [
    `Session ${session.session_id} in tunnel ${session.tunnel_id}`,
    `  Peer session ${session.peer_session_id}, tunnel ${session.peer_tunnel_id}`,
    ...line("interface name:", session.interface),
    ...line("namespace:", session.netns),
    ...line("vlan:", session.vlan),
    ...line("frames:", session.frames),
    ...line("pcap:", session.pcap),
    // Never other than these; scripts may look for them.
    "  offset 0, peer offset 0",
    ...line("cookie", session.cookie),
    ...line("peer cookie", session.peer_cookie),
    ...line("second peer cookie", session.peer_cookie2),
    ...line("reorder timeout:", session.reorder_timeout),
    ...(numbering === "" ? [] : [`  sequence numbering: ${numbering}`]),
    `  pwtype ${session.pwtype}, l2spec_type ${session.l2spec_type}, mtu ${session.mtu}`,
    ...statisticsText(session.statistics),
  ];
}

/** A line for each direction; reasons with a zero count are left out. */
function statisticsText({ tx, rx }: L2tpStatistics): string[] {
  const line = (name: string, counts: Readonly<Record<string, number>>) => {
    const shown = Object.entries(counts).filter(
      ([key, count]) => count > 0 || key === "packets" || key === "octets",
    );
    return `  ${name}: ${shown.map(([key, count]) => `${key.replaceAll("_", " ")} ${count}`).join(", ")}`;
  };
  return [line("TX", { ...tx }), line("RX", { ...rx })];
}
