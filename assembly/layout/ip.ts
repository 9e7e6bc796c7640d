/** IPv4 (RFC 791 §3.1), IPv6 (RFC 8200 §3), UDP (RFC 768), TCP (RFC 9293 §3.1). Offsets from the header's first octet. */
export const IPV4_VERSION_IHL = 0; // u8
export const IPV4_TOS = 1; // u8: DSCP and ECN
export const IPV4_TOTAL_LENGTH = 2; // u16
export const IPV4_ID = 4; // u16
export const IPV4_FRAGMENT = 6; // u16: flags and offset in 8 octets
export const IPV4_DF = 0x4000;
export const IPV4_MF = 0x2000;
export const IPV4_OFFSET_MASK = 0x1fff;
export const IPV4_TTL = 8; // u8
export const IPV4_PROTOCOL = 9; // u8
export const IPV4_CHECKSUM = 10; // u16
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = 16;
export const IPV4_HEADER = 20; // without options

export const IPV6_PAYLOAD_LENGTH = 4; // u16
export const IPV6_NEXT_HEADER = 6; // u8
export const IPV6_HOP_LIMIT = 7; // u8
export const IPV6_SOURCE = 8;
export const IPV6_DESTINATION = 24;
export const IPV6_HEADER = 40;

export const UDP_SOURCE_PORT = 0; // u16
export const UDP_DESTINATION_PORT = 2; // u16
export const UDP_LENGTH = 4; // u16
export const UDP_CHECKSUM = 6; // u16
export const UDP_HEADER = 8;

export const TCP_SEQUENCE = 4; // u32
export const TCP_DATA_OFFSET = 12; // u8: header's length in 4 octets, in the high nibble
export const TCP_FLAGS = 13; // u8
export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_URG = 0x20;
export const TCP_CWR = 0x80;
export const TCP_CHECKSUM = 16; // u16
export const TCP_HEADER = 20; // without options

export const PROTOCOL_HOP_BY_HOP = 0;
export const PROTOCOL_IGMP = 2;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_FRAGMENT = 44;
export const PROTOCOL_ICMPV6 = 58;
