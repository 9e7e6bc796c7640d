/**
 * Structures of the Linux system calls on 64-bit little-endian hosts (x64 and arm64 alike). Offsets
 * and lengths in octets; see recvmmsg(2), cmsg(3), ip(7), udp(7) and linux/virtio_net.h.
 */
export const MMSGHDR_NAME = 0; // u64: address of a sockaddr
export const MMSGHDR_NAME_LENGTH = 8; // u32
export const MMSGHDR_IOV = 16; // u64: address of the iovec array
export const MMSGHDR_IOV_COUNT = 24; // u64
export const MMSGHDR_CONTROL = 32; // u64: address of the ancillary data
export const MMSGHDR_CONTROL_LENGTH = 40; // u64
export const MMSGHDR_FLAGS = 48; // i32, set on receipt
export const MMSGHDR_LENGTH = 56; // u32: octets received or sent
export const MMSGHDR_SHIFT = 6; // 64 octets

export const IOVEC_BASE = 0; // u64
export const IOVEC_LENGTH = 8; // u64
export const IOVEC_SHIFT = 4; // 16 octets

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCKADDR_FAMILY = 0; // u16, host order
export const SOCKADDR_PORT = 2; // u16, network order
export const SOCKADDR_IN_ADDRESS = 4;
export const SOCKADDR_IN_LENGTH = 16;
export const SOCKADDR_IN6_ADDRESS = 8;
export const SOCKADDR_IN6_LENGTH = 28;

export const AF_PACKET = 17;
export const SOCKADDR_LL_PROTOCOL = 2; // u16, network order
export const SOCKADDR_LL_INDEX = 4; // i32
export const SOCKADDR_LL_ADDRESS_LENGTH = 11; // u8
export const SOCKADDR_LL_ADDRESS = 12; // 8 octets
export const SOCKADDR_LL_LENGTH = 20;

export const CMSG_LENGTH = 0; // u64: header and data
export const CMSG_LEVEL = 8; // i32
export const CMSG_TYPE = 12; // i32
export const CMSG_DATA = 16;
export const CMSG_ALIGN = 8; // the next one starts at a multiple of this

export const IPPROTO_IP = 0;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IP_TOS = 1; // cmsg: i32 to send, u8 on receipt
export const IP_TTL = 2; // cmsg: i32
export const IP_PKTINFO = 8; // cmsg: in_pktinfo
export const IPV6_PKTINFO = 50; // cmsg: in6_pktinfo
export const IPV6_HOPLIMIT = 52; // cmsg: i32
export const IPV6_TCLASS = 67; // cmsg: i32
export const IN_PKTINFO_ADDRESS = 8; // the datagram's destination, after index and local address
export const IN6_PKTINFO_ADDRESS = 0;
export const UDP_SEGMENT = 103; // cmsg: u16, payload octets of each datagram
export const UDP_GRO = 104; // cmsg: i32, likewise on receipt

/** tpacket2_hdr, at the start of each frame of a packet ring (packet(7), linux/if_packet.h). */
export const TPACKET2_STATUS = 0; // u32: TP_STATUS_*
export const TPACKET2_SNAPLEN = 8; // u32: octets of the packet that the frame holds, with link header
export const TPACKET2_MAC = 12; // u16: where they start; the virtio_net_hdr lies before them
export const TPACKET2_OVERHEAD = 96; // octets of a frame before the IP header, at most
export const TP_STATUS_KERNEL = 0; // the kernel's
export const TP_STATUS_USER = 1; // ours
export const TP_STATUS_COPY = 2; // cut short; the whole packet is in the socket's queue

/** virtio_net_hdr, little-endian as the kernel gives it with the default setting. */
export const VNET_FLAGS = 0; // u8
export const VNET_NEEDS_CHECKSUM = 1;
export const VNET_GSO_TYPE = 1; // u8
export const VNET_GSO_NONE = 0;
export const VNET_GSO_TCPV4 = 1;
export const VNET_GSO_TCPV6 = 4;
export const VNET_GSO_UDP_L4 = 5;
export const VNET_GSO_ECN = 0x80; // added where CWR stands in a TCP super-packet
export const VNET_HEADER_LENGTH = 2; // u16: octets before the payload
export const VNET_GSO_SIZE = 4; // u16: payload octets of each segment
export const VNET_CHECKSUM_START = 6; // u16: where the sum starts, from the packet's first octet
export const VNET_CHECKSUM_OFFSET = 8; // u16: where it is stored, from there
export const VNET_LENGTH = 10;

export const ETHERNET_TYPE = 12; // u16
export const ETHERNET_LENGTH = 14;
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
