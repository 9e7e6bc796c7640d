/** AMT messages (RFC 7450 §5.1). Offsets in octets from the first octet of the UDP payload. */
export const AMT_PORT = 2268; // UDP port of a relay (§7.2)
export const AMT_VERSION_TYPE = 0; // u8: version in the high nibble, message type in the low one

export const AMT_DISCOVERY = 1; // Relay Discovery (§5.1.1)
export const AMT_ADVERTISEMENT = 2; // Relay Advertisement (§5.1.2)
export const AMT_REQUEST = 3; // Request (§5.1.3)
export const AMT_QUERY = 4; // Membership Query (§5.1.4)
export const AMT_UPDATE = 5; // Membership Update (§5.1.5)
export const AMT_DATA = 6; // Multicast Data (§5.1.6)
export const AMT_TEARDOWN = 7; // Teardown (§5.1.7)

export const AMT_DISCOVERY_NONCE = 4; // u32, in Discovery and Advertisement
export const AMT_DISCOVERY_LENGTH = 8;
export const AMT_ADVERTISEMENT_ADDRESS = 8; // 4 or 16 octets, to the end of the message
export const AMT_ADVERTISEMENT_LENGTH_IPV4 = 12;
export const AMT_ADVERTISEMENT_LENGTH_IPV6 = 24;

export const AMT_REQUEST_FLAGS = 1; // u8
export const AMT_REQUEST_P = 0x01; // an MLDv2 query is wanted, not IGMPv3 (§5.1.3.3)
export const AMT_REQUEST_E = 0x02; // the gateway decapsulates ECN as RFC 6040 says (RFC 9601 §4)
export const AMT_REQUEST_P_MISPLACED = 0x80; // where some deployed gateways set P
export const AMT_REQUEST_NONCE = 4; // u32
export const AMT_REQUEST_LENGTH = 8;

export const AMT_QUERY_FLAGS = 1; // u8
export const AMT_QUERY_G = 0x01; // gateway port and address follow the query (§5.1.4.5)
export const AMT_QUERY_L = 0x02; // no new tunnels (§5.1.4.4)
export const AMT_QUERY_MISPLACED = 0xc0; // where some deployed relays have G and L
export const AMT_RESPONSE_MAC = 2; // 6 octets, in Query, Update and Teardown
export const AMT_RESPONSE_NONCE = 8; // u32, in Query, Update and Teardown
export const AMT_MEMBERSHIP = 12; // the encapsulated IGMP or MLD datagram of Query and Update
export const AMT_GATEWAY_FIELDS = 18; // octets of gateway port and address at a Query's end

export const AMT_DATA_DATAGRAM = 2; // Multicast Data: the encapsulated IP datagram or fragment

export const AMT_TEARDOWN_PORT = 12; // u16, gateway port
export const AMT_TEARDOWN_ADDRESS = 14; // 16 octets, IPv4 in the IPv4-compatible form
export const AMT_TEARDOWN_LENGTH = 30;
