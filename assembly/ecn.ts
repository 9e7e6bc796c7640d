// Congestion marks at a tunnel's end (RFC 6040 §4.2).
import { TALLY_ECN_ODD } from "./layout/arena";
import { IPPROTO_IP, IPPROTO_IPV6, IPV6_TCLASS, IP_TOS } from "./layout/system";
import { rxAncillary } from "./batch";
import { tally } from "./counters";
import { ecnOf, setEcn } from "./datagram";

// Values of the ECN field (RFC 3168 §5).
export const ECN_NOT: u32 = 0;
const ECN_1 = 1;
const ECN_CE = 3;

/** The ECN field of a received message's outer header, as far as the kernel tells it. */
export function receivedEcn(region: usize, message: u32): u32 {
  const tos = rxAncillary(region, message, IPPROTO_IP, IP_TOS);
  if (tos) return load<u8>(tos) & 3;
  const trafficClass = rxAncillary(region, message, IPPROTO_IPV6, IPV6_TCLASS);
  return trafficClass ? load<u8>(trafficClass) & 3 : ECN_NOT;
}

/**
 * Brings the outer ECN field into the datagram (RFC 6040 §4.2). False when the datagram must be
 * dropped: congestion was met on the way, and its sender would not hear of it.
 */
export function takeEcn(packet: usize, outer: u32): bool {
  const inner = ecnOf(packet);
  if (outer == ECN_NOT || outer == inner) return true;
  if (inner == ECN_NOT) {
    tally(TALLY_ECN_ODD, 1);
    return outer != ECN_CE;
  }
  if (inner == ECN_CE) {
    if (outer == ECN_1) tally(TALLY_ECN_ODD, 1);
  } else if (outer == ECN_CE || outer == ECN_1) {
    setEcn(packet, outer);
  } else {
    tally(TALLY_ECN_ODD, 1); // ECT(0) around ECT(1)
  }
  return true;
}
