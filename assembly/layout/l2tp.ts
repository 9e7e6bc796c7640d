/** L2TP data messages (RFC 2661 §3.1, RFC 3931 §4.1), and the core's record of a session. */
export const L2TP_PORT = 1701; // UDP (RFC 3931 §4.1.2)
export const L2TP_PROTOCOL = 115; // IP protocol, IPv6 next header (RFC 3931 §4.1.1)
export const L2TP_V2 = 2;
export const L2TP_V3 = 3;

// The first 16 bits over UDP.
export const L2TP_CONTROL = 0x8000; // T
export const L2TP_LENGTH = 0x4000; // L, version 2
export const L2TP_SEQUENCE = 0x0800; // S, version 2
export const L2TP_OFFSET = 0x0200; // O, version 2
export const L2TP_VERSION_MASK = 0x000f;
export const L2TP_CONTROL_HEADER = 12; // octets of a control message's header

// A control message's header: the first 16 bits, Length, then (RFC 2661 §3.1, RFC 3931 §3.2.1):
export const L2TP_CONTROL_LENGTH = 2; // u16, of the whole message
export const L2TP_CONTROL_ID = 4; // u32: Control Connection ID; version 2: u16 Tunnel, u16 Session ID
export const L2TP_CONTROL_NS = 8; // u16
export const L2TP_CONTROL_NR = 10; // u16

// AVPs (RFC 2661 §4.1, RFC 3931 §5.1).
export const AVP_MANDATORY = 0x8000; // M, of the first 16 bits
export const AVP_HIDDEN = 0x4000; // H
export const AVP_RESERVED = 0x3c00;
export const AVP_LENGTH = 0x03ff; // of the AVP with its header
export const AVP_VENDOR = 2; // u16
export const AVP_TYPE = 4; // u16
export const AVP_HEADER = 6; // octets
export const AVP_MESSAGE_TYPE = 0; // the first AVP of every message but a ZLB

// L2-Specific Sublayer (RFC 3931 §4.6; RFC 4454 §3).
export const SUBLAYER_NONE = 0;
export const SUBLAYER_DEFAULT = 1;
export const SUBLAYER_ATM = 2;
export const SUBLAYER_LENGTH = 4;
export const SUBLAYER_V = 0x80; // first octet: a VCCV message follows (RFC 5085)
export const SUBLAYER_S = 0x40; // the sequence number is valid
export const SUBLAYER_FRAGMENT = 0x30; // B and E (RFC 4623)
export const SUBLAYER_ATM_BITS = 0x0f; // T, G, C, U of the ATM sublayer

// Pseudowire types (IANA "L2TPv3 Pseudowire Types").
export const PW_FRAME_RELAY = 0x0001; // RFC 4591
export const PW_AAL5 = 0x0002; // RFC 4454
export const PW_ATM_PORT = 0x0003; // cells, transparent port mode
export const PW_VLAN = 0x0004; // RFC 4719
export const PW_ETHERNET = 0x0005; // RFC 4719
export const PW_HDLC = 0x0006; // RFC 4349
export const PW_PPP = 0x0007;
export const PW_ATM_VCC = 0x0009;
export const PW_ATM_VPC = 0x000a;
export const PW_IP = 0x000b;
export const ATM_CELL = 52; // octets of a cell without its HEC

/** What is known of a port, by its number: 16 octets each. */
export const PORT_KIND = 0; // u32: PORT_*, PORT_VNET may be added for a device
export const PORT_SESSION = 4; // u32: the device's session, its address; a trunk's table of 4096
export const PORT_SHIFT = 4;
export const PORT_NONE = 0;
export const PORT_UDP = 1; // L2TP over UDP
export const PORT_IPV4 = 2; // raw socket: an IPv4 header comes first
export const PORT_IPV6 = 3; // raw socket: no header
export const PORT_FRAMES = 4; // the frames of one session: TAP, TUN
export const PORT_TRUNK = 5; // Ethernet frames of many sessions, by VLAN
export const PORT_MARKED = 6; // the frames of one session, each after FRAME_MARK octets
export const PORT_KIND_MASK = 0xff;
export const PORT_VNET = 0x100; // a virtio_net_hdr precedes each frame
export const PORT_TSO = 0x200; // with PORT_VNET: takes and gives TCP super-packets
export const PORT_USO = 0x400; // with PORT_VNET: takes and gives UDP super-packets
export const FRAME_MARK = 4; // octets: T, G, C, U in the low bits of the first; the rest zero

/**
 * A session's record. The key, of 32 octets, is matched as it stands; names are as in a sockaddr,
 * numbers in an octet order of their own only where the comment says so.
 */
export const SESSION_PORT = 0; // u32: number of the socket's port
export const SESSION_VERSION = 4; // u16: L2TP_V2, L2TP_V3
export const SESSION_PEER_PORT = 6; // u16, network order; 0 over IP
export const SESSION_ID = 8; // u32, network order; version 2: tunnel, session; keyed IPv6: 0
export const SESSION_FAMILY = 12; // u32: AF_*
export const SESSION_PEER = 16; // 16 octets, IPv4 in the first four
export const SESSION_KEY_LENGTH = 32;

export const SESSION_NUMBER = 32; // u32: the control thread's number
export const SESSION_FLAGS = 36; // u32: SESSION_*
export const SESSION_COOKIES = 1 << 0; // a second cookie is accepted, too
export const SESSION_SEND_SEQUENCE = 1 << 1; // packets are numbered
export const SESSION_NEED_SEQUENCE = 1 << 2; // unnumbered packets are dropped
export const SESSION_IGNORE_SEQUENCE = 1 << 3; // numbers that arrive mean nothing
export const SESSION_MIRROR = 1 << 4; // version 2, LAC: numbering as the peer does (RFC 2661 §5.4)
export const SESSION_ECN = 1 << 5; // RFC 6040's normal mode: the inner ECN field goes outside
export const SESSION_TOS = 1 << 6; // the inner DSCP goes outside
export const SESSION_TRAINS = 1 << 7; // UDP_SEGMENT may be used
export const SESSION_HOLDING = 1 << 8; // stands among those that hold packets; the core's own

// Receiving.
export const SESSION_SUBLAYER = 40; // u8: SUBLAYER_*
export const SESSION_COOKIE_LENGTH = 41; // u8: 0, 4, 8
export const SESSION_PSEUDOWIRE = 42; // u16: PW_*
export const SESSION_DEVICE = 44; // u32: number of the port that frames go to
export const SESSION_COOKIE = 48; // 8 octets, the first SESSION_COOKIE_LENGTH in use
export const SESSION_COOKIE_2 = 56; // likewise
export const SESSION_VLAN = 64; // u16: identifier that frames leave with on a trunk
export const SESSION_EXPECTED = 68; // u32: next number
export const SESSION_STARTED = 72; // u32: 1 once a number came
export const SESSION_OLD_RUN = 76; // u32: consecutive old numbers, in order
export const SESSION_OLD_LAST = 80; // u32: the last of them
export const SESSION_OLD_MAX = 84; // u32: run after which the peer has started anew; 0: never
export const SESSION_HOLD = 88; // u32: milliseconds that a packet waits for those before it, 0 none
export const SESSION_HELD = 92; // u32: first held packet, in order; 0 none
export const SESSION_HELD_COUNT = 96; // u32
export const SESSION_NEXT_HOLDER = 100; // u32: next session with held packets

// Sending.
export const SESSION_SOCKADDR = 112; // 28 octets
export const SESSION_SOCKADDR_LENGTH = 140; // u32
export const SESSION_NEXT_NUMBER = 144; // u32: next number to send
export const SESSION_HEADER_LENGTH = 148; // u8: octets of SESSION_HEADER
export const SESSION_SEQUENCE_AT = 149; // u8: where in it Ns or the sublayer stands, 0 nowhere
export const SESSION_LENGTH_AT = 150; // u8: version 2: where the length stands, 0 nowhere
export const SESSION_SUBLAYER_SENT = 151; // u8: SUBLAYER_*, of which SESSION_SEQUENCE_AT is the place
export const SESSION_FRAME_MAX = 152; // u32: largest frame, all that is larger is dropped
export const SESSION_SEGMENT_MAX = 156; // u32: largest datagram that UDP_SEGMENT may make
export const SESSION_HEADER = 160; // up to 48 octets, as sent but for number and length
export const SESSION_HEADER_MAX = 48;
export const SESSION_CLASS = 208; // u8: traffic class to send with, before what is inherited

// Counters, u64.
export const SESSION_TX_PACKETS = 256;
export const SESSION_TX_OCTETS = 264;
export const SESSION_TX_ERRORS = 272;
export const SESSION_RX_PACKETS = 280;
export const SESSION_RX_OCTETS = 288;
export const SESSION_RX_ERRORS = 296; // payload that its pseudowire cannot have
export const SESSION_RX_COOKIE = 304; // wrong cookie
export const SESSION_RX_INVALID = 312; // header or sublayer cut short, or not as agreed
export const SESSION_RX_OLD = 320; // dropped for its sequence number
export const SESSION_RX_REORDERED = 328; // arrived ahead and was held
export const SESSION_RX_MISSING = 336; // numbers that never came
export const SESSION_RX_UNNUMBERED = 344; // dropped for want of a number
export const SESSION_HEARD = 352; // u64: packets of any kind from the peer, for keepalive
export const SESSION_SHIFT = 9; // 512 octets

/** A held packet: a slot of the pool. */
export const HELD_NEXT = 0; // u32: next in order, or next free slot
export const HELD_NUMBER = 4; // u32: its sequence number
export const HELD_LENGTH = 8; // u32: octets of the frame
export const HELD_TIME = 12; // u32: milliseconds, when it came
export const HELD_SESSION = 16; // u32: its session's address
export const HELD_MARK = 20; // u32: bits of the ATM sublayer
export const HELD_FRAME = 64; // with headroom before it
export const HELD_SHIFT = 14; // 16 KiB: larger frames are not held
export const HELD_SLOTS = 512;
export const HELD_MAX = 64; // packets held of one session

/** The pool of held packets, at ARENA_HOLD. */
export const HOLD_FREE = 0; // u32: first free slot, 0 for none
export const HOLD_READY = 4; // u32: first packet whose turn has come
export const HOLD_READY_LAST = 8; // u32
export const HOLD_SENT = 12; // u32: first slot to be freed once its message has left
export const HOLD_COUNT = 16; // u32: packets that wait
export const HOLD_SESSIONS = 20; // u32: first session that holds packets
export const HOLD_MADE = 24; // u32: 1 once there is a pool
