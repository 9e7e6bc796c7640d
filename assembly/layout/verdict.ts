/**
 * What becomes of a packet. Append only: the numbers index the counters of every arena and appear
 * in stored test tables. Names and meanings stand in `src/core/drops.ts`; a test pairs the two.
 */
export const VERDICT_FORWARDED = 0; // left for its next stage
export const VERDICT_PUNTED = 1; // handed to the control thread

// Dropped by the core while reading a frame.
export const VERDICT_TRUNCATED = 2;
export const VERDICT_AMT_VERSION = 3;
export const VERDICT_AMT_TYPE_UNKNOWN = 4;
export const VERDICT_AMT_TYPE_ROLE = 5;
export const VERDICT_AMT_LENGTH = 6;
export const VERDICT_NOT_RELAY = 7;
export const VERDICT_INNER_VERSION = 8;
export const VERDICT_INNER_LENGTH = 9;
export const VERDICT_INNER_CHECKSUM = 10;
export const VERDICT_NOT_MULTICAST = 11;
export const VERDICT_LINK_SCOPE = 12;
export const VERDICT_TTL_EXPIRED = 13;
export const VERDICT_NO_ROUTE = 14;
export const VERDICT_NO_MEMBER = 15;
export const VERDICT_TOO_BIG = 16;
export const VERDICT_PUNT_FULL = 17;
export const VERDICT_UDP_CHECKSUM = 18;
export const VERDICT_UDP_PORT = 19;
export const VERDICT_NOT_UDP = 20;
export const VERDICT_FRAGMENT = 21;
export const VERDICT_SEGMENT_KIND = 22;
export const VERDICT_NOT_MEMBERSHIP = 23;
export const VERDICT_FAMILY = 24;
export const VERDICT_BAD_SOURCE = 25;

// Dropped because the system refused a message: one count for each packet in it.
export const VERDICT_SEND_REFUSED = 26;
export const VERDICT_SEND_DENIED = 27;
export const VERDICT_SEND_TOO_BIG = 28;
export const VERDICT_SEND_UNREACHABLE = 29;
export const VERDICT_SEND_NO_BUFFER = 30;
export const VERDICT_SEND_FAILED = 31;
export const VERDICT_STOPPED = 32;

// Dropped by a control machine.
export const VERDICT_STALE_NONCE = 33;
export const VERDICT_BAD_MAC = 34;
export const VERDICT_UNEXPECTED = 35;
export const VERDICT_WRONG_PEER = 36;
export const VERDICT_NOT_GENERAL_QUERY = 37;
export const VERDICT_MEMBERSHIP_CHECKSUM = 38;
export const VERDICT_MEMBERSHIP_TYPE = 39;
export const VERDICT_MEMBERSHIP_LENGTH = 40;
export const VERDICT_ROUTER_ALERT = 41;
export const VERDICT_HOP_LIMIT = 42;
export const VERDICT_TUNNEL_LIMIT = 43;
export const VERDICT_GROUP_LIMIT = 44;
export const VERDICT_SOURCE_LIMIT = 45;
export const VERDICT_ADDRESS_LIMIT = 46;
export const VERDICT_UNROUTABLE_GROUP = 47;
export const VERDICT_UNKNOWN_TUNNEL = 48;
export const VERDICT_DRAINING = 49;
export const VERDICT_BAD_ADDRESS = 50;
export const VERDICT_PROTOCOL_MISMATCH = 51;
export const VERDICT_RATE_LIMIT = 52;
export const VERDICT_ZERO_NONCE = 53;
export const VERDICT_HELD_DOWN = 54;
export const VERDICT_ANY_SOURCE = 55;
export const VERDICT_ECN = 56;
export const VERDICT_DENIED = 57;

// Dropped before the core by a port that holds a queue of its own.
export const VERDICT_QUEUE_FULL = 58;

// Dropped by the core on an L2TP tunnel.
export const VERDICT_L2TP_VERSION = 59;
export const VERDICT_L2TP_HEADER = 60;
export const VERDICT_L2TP_SESSION = 61;
export const VERDICT_L2TP_COOKIE = 62;
export const VERDICT_L2TP_VCCV = 63;
export const VERDICT_L2TP_FRAGMENT = 64;
export const VERDICT_L2TP_PAYLOAD = 65;
export const VERDICT_L2TP_OLD = 66;
export const VERDICT_L2TP_UNNUMBERED = 67;
export const VERDICT_L2TP_DEVICE = 68;
export const VERDICT_L2TP_VLAN = 69;

// Dropped by a control machine.
export const VERDICT_ICMP_FORBIDDEN = 70;

// Dropped by a gateway whose relays are found by source.
export const VERDICT_SOURCE_NEEDED = 71;

// Dropped by a relay with several ingress interfaces.
export const VERDICT_OTHER_INGRESS = 72;

// Dropped by a gateway before a downstream interface.
export const VERDICT_LINK_MTU = 73;

// Dropped by a relay before a tunnel.
export const VERDICT_TUNNEL_RATE = 74;

/** Counters kept for each stage; more than there are verdicts, so that the arena need not move. */
export const VERDICT_ROOM = 128;
