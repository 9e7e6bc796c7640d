/**
 * The arena: one shared WebAssembly memory for each lane. Addresses in octets from its start.
 *
 * Written by the control thread: the command ring's slots and its RING_TAIL, the punt ring's
 * RING_HEAD. All else is written by the lane, or by the kernel on the lane's behalf. The first KiB
 * is never used, so that a zero address is never a valid one.
 */
export const ARENA_PAGES = 1024; // pages of 64 KiB that the fixed regions take
export const ARENA_PAGES_MAX = 32_768; // what the core's memory may grow to, 2 GiB
export const ARENA_HEAP = 0x4000000; // 64 MiB: where memory handed out on demand begins

// The lane's own values.
export const ARENA_BASE = 0x400; // u64: the absolute address of the arena's first octet
export const ARENA_SEED = 0x408; // u64: of the tables' hash, random for each arena
export const ARENA_HEAP_NEXT = 0x410; // u32: first octet not handed out yet
export const ARENA_HEAP_END = 0x414; // u32: end of the region that ARENA_HEAP_NEXT lies in
export const ARENA_HEAP_FREE = 0x420; // u32 [32]: first free block of 2^i octets
export const ARENA_ROUTES = 0x500; // the route table, a TABLE
export const ARENA_MEMBERS = 0x580; // the member table, a TABLE
export const ARENA_TUNNELS = 0x600; // the tunnels' slab, a SLAB
export const ARENA_CONFIG = 0x680; // what commands set, CONFIG_*
export const ARENA_CURSOR = 0x700; // where a stage resumes, CURSOR_*
export const ARENA_KEY = 0x780; // 40 octets: the key being looked up

export const ARENA_SESSION_TABLE = 0xc00; // the sessions by their key, a TABLE
export const ARENA_SESSIONS = 0xc80; // u32: address of each session by its number, a SLAB
export const ARENA_PORTS = 0xcc0; // what each port is, a SLAB
export const ARENA_RATES = 0xcd0; // what each tunnel was sent lately, a SLAB of RATE_*
export const ARENA_HOLD = 0xd00; // packets that wait for those before them, HOLD_*

/** Counters: VERDICT_ROOM u64 for each stage. */
export const ARENA_COUNTERS = 0x1000;
export const STAGE_SHIFT = 10; // octets of one stage's counters, as a power of two
export const STAGE_INGEST = 0; // multicast datagrams taken by a relay
export const STAGE_CONTROL = 1; // datagrams on the AMT socket
export const STAGE_DEVICE = 2; // packets that the host sent to a gateway's device
export const STAGE_EGRESS = 3; // copies sent by a relay; datagrams delivered by a gateway
export const STAGE_COUNT = 4;
export const STAGE_RECEIVED = 127; // in place of a verdict: all packets that reached the stage

/** Plain u64 counters, after the stages'. */
export const ARENA_TALLIES = 0x3000;
export const TALLY_MESSAGES = 0; // messages given to the kernel, each one or many datagrams
export const TALLY_CALLS = 1; // system calls that sent
export const TALLY_BACK_PRESSURE = 2; // times that the kernel took no more for now
export const TALLY_RECEIVED_MESSAGES = 3; // messages taken from the kernel
export const TALLY_RECEIVE_CALLS = 4; // system calls that received
export const TALLY_OCTETS = 5; // octets of UDP payload sent, or delivered to the device
export const TALLY_COMMANDS = 6; // commands applied
export const TALLY_FRAGMENTED = 7; // datagrams that were cut into inner fragments
export const TALLY_SEGMENTED = 8; // super-packets that were segmented on arrival
export const TALLY_COMPLETED = 9; // partial checksums that were completed
export const TALLY_DELIVERED = 10; // datagrams laid out for a device or a receiver
export const TALLY_ECN_ODD = 11; // pairs of ECN fields that should not meet (RFC 6040 §4.2)
export const TALLY_REDUCED = 12; // datagrams that were cut for tunnels of a smaller MTU
export const TALLY_NOTED = 13; // datagrams and messages that were too big, and control was shown
export const TALLY_RING_FRAMES = 14; // frames taken from a packet ring, without a system call
export const TALLY_COUNT = 15;

/** CRC32c tables, 16 of 256 u32, made at start. */
export const ARENA_CRC = 0x4000;

/** Single-producer single-consumer rings: indices run freely and wrap. */
export const RING_TAIL = 0; // u32: slots filled, written by the producer
export const RING_HEAD = 128; // u32: slots emptied, written by the consumer
export const RING_DOORBELL = 256; // u32: 1 while the consumer knows that it must look
export const RING_SLOTS = 384;

export const ARENA_COMMANDS = 0x10000;
export const COMMAND_SLOT_SHIFT = 6; // 64 octets
export const COMMAND_SLOTS = 4096;

export const ARENA_PUNTS = 0x60000;
export const PUNT_SLOT_SHIFT = 11; // 2,048 octets
export const PUNT_SLOTS = 1024;

/** A punt slot. */
export const PUNT_LENGTH = 0; // u32: octets of the packet
export const PUNT_KIND = 4; // u32: PUNT_FROM_*
export const PUNT_NAME_LENGTH = 8; // u32: octets of PUNT_NAME in use
export const PUNT_PORT = 12; // u32: number of the port it came from
export const PUNT_NAME = 16; // sockaddr of the sender, for what came from a socket
export const PUNT_PACKET = 64;
export const PUNT_FROM_SOCKET = 0; // an AMT control message
export const PUNT_FROM_DEVICE = 1; // an IP datagram with IGMP or MLD
export const PUNT_TOO_BIG = 2; // the head of a datagram that does not fit some tunnel
export const PUNT_UNSENT = 3; // no packet: the system found a message to this sockaddr too big
export const PUNT_HEAD = 1_232; // octets of it: what an ICMP error quotes at most (RFC 4443 §3.2)

/** A command slot. */
export const COMMAND_OP = 0; // u32: COMMAND_*
export const COMMAND_TUNNEL = 4; // u32: the tunnel's or the relay's number; a CONFIG_* offset
export const COMMAND_KEY = 8; // 40 octets: a route's key; a u32; a sockaddr and, at 28, its length
export const COMMAND_TUNNEL_SET = 1; // tunnel, sockaddr; TUNNEL_* may be added to its length; a LINK
export const TUNNEL_ECN = 0x100; // the tunnel's data bears the inner ECN field (RFC 9601)
export const TUNNEL_MTU_SHIFT = 16; // its own largest inner datagram, if less than the lane's; or 0
export const COMMAND_ROUTE_ADD = 2; // key
export const COMMAND_ROUTE_REMOVE = 3; // key: with all its members
export const COMMAND_MEMBER_ADD = 4; // key, tunnel: makes the route as well
export const COMMAND_MEMBER_REMOVE = 5; // key, tunnel
export const COMMAND_CONFIG = 6; // CONFIG_* offset, u32 value
export const COMMAND_RELAY = 7; // relay, sockaddr: accept its data from there; length 0: from nowhere
export const COMMAND_SINK_NAME = 8; // sockaddr: send payloads there
export const COMMAND_ROUTE_RELAY = 9; // key, relay: who sends the packets of a gateway's route

export const COMMAND_PORT_SET = 16; // port's number, u32 PORT_* kind
export const COMMAND_SESSION_ADD = 17; // session's number, SESSION_KEY_LENGTH octets of key
export const COMMAND_SESSION_PUT = 18; // session's number; u32 offset, u32 length, octets
export const COMMAND_SESSION_READY = 19; // session's number: ties its device to it
export const COMMAND_SESSION_REMOVE = 20; // session's number
export const COMMAND_PUT_MOST = 40; // octets of one COMMAND_SESSION_PUT

/** What commands set, from ARENA_CONFIG. */
export const CONFIG_TUNNEL_MTU = 0; // u32: the largest inner datagram
export const CONFIG_SEGMENTS = 4; // u32: datagrams in one message, 1 without UDP_SEGMENT
export const CONFIG_SINK = 8; // u32: SINK_*
export const CONFIG_SINK_PORT = 12; // u32: UDP port wanted of a receiver; 0: any
export const CONFIG_SINK_NAME_LENGTH = 48; // u32: octets of CONFIG_SINK_NAME in use
export const CONFIG_SINK_NAME = 52; // sockaddr that a receiver sends to

export const CONFIG_SINK_LIMIT = 84; // u32: datagrams to deliver in all; 0: no limit
export const CONFIG_LEAST_MTU = 88; // u32: a datagram of this length fits every tunnel
export const CONFIG_NOTED = 92; // u32: a bit for each hash of a source that was noted (TALLY_NOTED)
export const CONFIG_NOTED_TUNNELS = 96; // u32: likewise, of a tunnel's sockaddr
export const CONFIG_RATE = 108; // u32: octets of AMT a millisecond that a tunnel is sent; 0: any
export const CONFIG_BURST = 112; // u32: octets that it is sent beyond that at once
export const CONFIG_SINK_USO = 104; // u32: 1 when the device takes UDP super-packets
export const CONFIG_LINKS = 100; // u32: members 1 to this of a gateway's routes are links

export const SINK_TUN = 0; // virtio_net_hdr and IP datagram
export const SINK_TUN_PLAIN = 1; // IP datagram alone
export const SINK_TAP = 2; // virtio_net_hdr, Ethernet header, IP datagram
export const SINK_TAP_PLAIN = 3; // Ethernet header, IP datagram
export const SINK_PAYLOAD = 4; // UDP payload

/** The relays from which a gateway accepts data: a sockaddr each, its length behind it, 0 for none. */
export const ARENA_RELAYS = 0x280000;
export const RELAY_SHIFT = 5; // 32 octets
export const RELAY_LENGTH = 28; // u32
export const RELAY_SLOTS = 4096;

/** Datagrams accepted from each relay, u32 that wrap, so that a silent one shows. */
export const ARENA_HEARD = 0x2a0000;

/** A route's key: which packets it takes. */
export const KEY_KIND = 0; // u64: family, with KEY_ANY_SOURCE for (*,G)
export const KEY_ANY_SOURCE = 0x100;
export const KEY_GROUP = 8; // 16 octets, IPv4 in the first four
export const KEY_SOURCE = 24; // 16 octets, likewise; zero for (*,G)
export const KEY_LENGTH = 40;

/** Receive regions: what recvmmsg is given. A batch is done with before the next one is read. */
export const ARENA_RX = 0x300000;
export const RX_REGION = 0xd00000; // octets of one region
export const RX_REGIONS = 2; // of the AMT socket, and of all else that a lane reads
export const RX_CAPACITY = 192; // messages: 3 trains of 64, 4 of 48
export const RX_BATCH = 0x80000; // octets of a batch that caches still hold when they are sent on
export const RX_HEADERS = 0; // mmsghdr [RX_CAPACITY]
export const RX_IOVECS = 0x3000; // iovec [RX_CAPACITY]
export const RX_NAMES = 0x3c00; // 32 octets [RX_CAPACITY]
export const RX_NAME_SHIFT = 5;
export const RX_CONTROL = 0x5400; // 128 octets [RX_CAPACITY]
export const RX_CONTROL_SHIFT = 7;
export const RX_UDP_PORT = 0xb400; // u16, network order: port of the socket, for FRAME_UDP
export const RX_SLOTS = 0xc000; // RX_SLOT octets [RX_CAPACITY]
export const RX_SLOT = 67_136; // an odd number of cache lines, so that slots spread over all sets
export const RX_HEADROOM = 64; // octets before a packet's first
export const RX_ROOM = 65_600; // octets a packet may have
export const RX_ITEMS = 0xc60000; // ITEM [RX_CAPACITY], after the slots

/** What the core notes of each datagram of a batch. */
export const ITEM_NEXT = 0; // u32: address of the next item of the same route, 0 for none
export const ITEM_PACKET = 4; // u32: address of the IP header
export const ITEM_LENGTH = 8; // u32: octets of the datagram
export const ITEM_KIND = 12; // u32: ITEM_WHOLE and those after it
export const ITEM_PIECES = 16; // u32: datagrams that it leaves as
export const ITEM_PIECE = 20; // u32: octets of payload in each piece but the last
export const ITEM_HASH = 24; // u32: hash of ITEM_KEY
export const ITEM_PARTIAL = 28; // u32: checksum start << 16 | offset to complete, 0 for none
export const ITEM_KEY = 32; // KEY_LENGTH octets
export const ITEM_ROUTE = 72; // u32: address of the route, 0 for none
export const ITEM_CUT = 76; // u32: octets of payload in each fragment of a segment but the last
export const ITEM_CUTS = 80; // u32: fragments of each segment but the last
export const ITEM_SHIFT = 7; // 128 octets: two cache lines
export const ITEM_WHOLE = 0;
export const ITEM_SEGMENTS = 1; // a super-packet: pieces are UDP datagrams of ITEM_PIECE payload
export const ITEM_FRAGMENTS = 2; // larger than the tunnel's MTU: pieces are IPv4 fragments
export const ITEM_SEGMENT_FRAGMENTS = 3; // a super-packet: pieces are its segments' IPv4 fragments

/** What a port puts before a packet. */
export const FRAME_VNET = 0; // virtio_net_hdr, then the IP datagram
export const FRAME_IP = 1; // nothing
export const FRAME_UDP = 2; // UDP payload; the IP datagram is rebuilt from sender and ancillary data
export const FRAME_VNET_ETHERNET = 3; // virtio_net_hdr, Ethernet header, IP datagram
export const FRAME_ETHERNET = 4; // Ethernet header, IP datagram

/** The flows of a relay with several ingress interfaces: FLOW_SETS sets of a few flows each. */
export const ARENA_FLOWS = 0x1d00000;
export const FLOW_SETS = 16_384;
export const FLOW_SET_SHIFT = 8; // 256 octets: four flows
export const FLOW_SHIFT = 6; // 64 octets
export const FLOW_INGRESS = 40; // u32, after the (S,G) key: the interface it is taken from, 0: empty
export const FLOW_HEARD = 44; // u32: when that one last delivered, in milliseconds
export const FLOW_HOLD = 1_000; // milliseconds of silence after which another interface may deliver

/** Where a stage resumes after the transmit region was full. */
export const CURSOR_REGION = 0; // u32: the receive region, 0 when there is nothing to resume
export const CURSOR_COUNT = 4; // u32: messages in it
export const CURSOR_MESSAGE = 8; // u32: next message
export const CURSOR_OCTET = 12; // u32: next octet of that message
export const CURSOR_ROUTE = 16; // u32: route being served
export const CURSOR_ITEM = 20; // u32: its next item
export const CURSOR_PIECE = 24; // u32: next piece of that item
export const CURSOR_TRAIN = 28; // u32: train being sent, 0 for none
export const CURSOR_MEMBER = 32; // u32: next place in the route's list
export const CURSOR_TRAINS = 36; // u32: trains made, modulo TRAIN_CAPACITY
export const CURSOR_STAGED = 40; // u32: next free octet of the staging area
export const CURSOR_FIRST = 44; // u32: first item of the round
export const CURSOR_MTU = 48; // u32: MTU of the tunnels that the round serves, 0 for all tunnels
export const CURSOR_PORT = 96; // u32: number of the port that the transmit region is for
export const CURSOR_INLET = 100; // u32: number of the port that the batch came from
export const CURSOR_NOW = 104; // u32: milliseconds, when it came
export const CURSOR_PACKETS = 52; // u32: a gateway's messages for its device
export const CURSOR_COPIES = 56; // u32: copies noted for its links
export const CURSOR_LAID = 60; // u32: how many of them have been laid out

/** Transmit region: what sendmmsg and writev are given. */
export const ARENA_TX = 0x2a00000;
export const TX_CAPACITY = 1024; // messages
export const TX_HEADERS = 0; // mmsghdr [TX_CAPACITY]
export const TX_IOVECS = 0x10000; // two iovec [TX_CAPACITY]
export const TX_IOVECS_CAPACITY = 2048;
export const TX_PREFIXES = 0x18000; // 32 octets [TX_CAPACITY]: what precedes a packet on a device
export const TX_PREFIX_SHIFT = 5;
export const TX_SEGMENTS = 0x20000; // u32 [TX_CAPACITY]: datagrams in the message
export const TX_LENGTHS = 0x21000; // u32 [TX_CAPACITY]: octets in the message
export const TX_TRAINS = 0x22000; // TRAIN [TRAIN_CAPACITY]
export const TX_CONTROL = 0x30000; // 64 octets [TX_CAPACITY]: ancillary data of L2TP's messages
export const TX_CONTROL_SHIFT = 6;
export const TX_SESSIONS = 0x24000; // u32 [TX_CAPACITY]: address of the message's session
export const TX_STAGING = 0x40000; // octets of trains
export const TX_STAGING_SIZE = 0x400000;
export const TX_HEADS = 0x240000; // 128 octets [TX_CAPACITY]: headers of fragments for links, in staging
export const TX_HEAD_SHIFT = 7;

/** A train: datagrams of one length, the last may be shorter, for one message. */
export const TRAIN_IOVECS = 0; // u32: address of its iovecs
export const TRAIN_IOVEC_COUNT = 4; // u32
export const TRAIN_END = 8; // u32: where what it has of the staging area ends
export const TRAIN_SEGMENTS = 16; // u32
export const TRAIN_LENGTH = 20; // u32
export const TRAIN_OFFSET = 24; // u32: where what it has of the staging area, iovecs first, starts
export const TRAIN_ECN = 28; // u32: ECN field that all its datagrams have (RFC 3168 §5)
export const TRAIN_CMSG_ECN4 = 32; // cmsghdr and IP_TOS, 24 octets; TRAIN_CMSG follows
export const TRAIN_CMSG = 56; // cmsghdr and segment size, 24 octets
export const TRAIN_CMSG_ECN6 = 80; // cmsghdr and IPV6_TCLASS, then segment size, 48 octets
export const TRAIN_SHIFT = 7; // 128 octets
export const TRAIN_CAPACITY = 64;
export const TRAIN_LENGTH_MAX = 65_507; // UDP payload that IPv4 can carry
export const TRAIN_SEGMENTS_MAX = 64; // UDP_MAX_SEGMENTS of Linux

/** The ports that AMT's lanes send to (CURSOR_PORT). */
export const PORT_OUTLET = 0; // a relay's socket, a gateway's device, what a receiver writes to
export const PORT_LINKS = 1; // a gateway's packet socket for its links
export const PORT_INLETS = 2; // the first of the others

/** A copy that a gateway is to send on a link, in the staging area that it does not use otherwise. */
export const COPY_PACKET = 0; // u32: address of the IP header
export const COPY_LENGTH = 4; // u32: octets of the datagram
export const COPY_LINK = 8; // u32: number of the link
export const COPY_FRAGMENT = 12; // u32: 0 for a whole datagram, else 1 + octets of its payload before
export const COPY_SHIFT = 4; // 16 octets

/**
 * A link that a gateway forwards to stands among the tunnels: a sockaddr_ll, whose address is that of
 * the interface itself, the source of frames, and the link's MTU. Each link has a record for each family, for its protocol.
 */
export const LINK_MTU = 20; // u32: the largest datagram

/** Scratch of the library engine, in place of a lane's regions. */
export const SCRATCH_OFFSETS = 0x300000; // u32 [SCRATCH_PACKETS]
export const SCRATCH_LENGTHS = 0x340000; // i32 [SCRATCH_PACKETS]
export const SCRATCH_PACKETS = 65_536;
export const SCRATCH_IN = 0x400000;
export const SCRATCH_OUT = 0x1400000;
export const SCRATCH_ROOM = 0x1000000; // octets of either
