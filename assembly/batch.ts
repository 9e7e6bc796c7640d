// Batches of received messages: what recvmmsg is given, and what is read back from it.
import {
  ARENA_BASE,
  ARENA_TX,
  FRAME_ETHERNET,
  FRAME_VNET_ETHERNET,
  FRAME_VNET,
  RX_BATCH,
  RX_CAPACITY,
  RX_CONTROL,
  RX_CONTROL_SHIFT,
  RX_HEADERS,
  RX_HEADROOM,
  RX_IOVECS,
  RX_NAMES,
  RX_NAME_SHIFT,
  RX_ROOM,
  RX_SLOT,
  RX_SLOTS,
  TX_HEADERS,
  TX_IOVECS,
  TX_LENGTHS,
  TX_SEGMENTS,
} from "./layout/arena";
import {
  CMSG_ALIGN,
  CMSG_DATA,
  CMSG_LENGTH,
  CMSG_LEVEL,
  CMSG_TYPE,
  ETHERNET_LENGTH,
  IOVEC_BASE,
  IOVEC_LENGTH,
  IOVEC_SHIFT,
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_FLAGS,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_LENGTH,
  MMSGHDR_NAME,
  MMSGHDR_NAME_LENGTH,
  MMSGHDR_SHIFT,
  VNET_LENGTH,
} from "./layout/system";

/** The absolute address, as the kernel knows it, of an address in the arena. */
export function absolute(address: usize): u64 {
  return load<u64>(ARENA_BASE) + address;
}

/** Octets that a port of this frame kind puts before the IP datagram. */
export function frameHeader(frame: u32): i32 {
  return (hasVnet(frame) ? VNET_LENGTH : 0) + linkHeader(frame);
}

/** True when a virtio_net_hdr comes first. */
export function hasVnet(frame: u32): bool {
  return frame == FRAME_VNET || frame == FRAME_VNET_ETHERNET;
}

/** Octets of link header before the IP datagram. */
export function linkHeader(frame: u32): i32 {
  return frame == FRAME_VNET_ETHERNET || frame == FRAME_ETHERNET ? ETHERNET_LENGTH : 0;
}

/** Writes the headers of a whole receive region; packets will start at the slots' headroom. */
export function rxPrepare(region: usize, frame: u32): void {
  const header = frameHeader(frame);
  for (let i: usize = 0; i < <usize>RX_CAPACITY; i++) {
    const message = region + RX_HEADERS + (i << MMSGHDR_SHIFT);
    const iovec = region + RX_IOVECS + (i << IOVEC_SHIFT);
    store<u64>(iovec, absolute(rxPacket(region, i) - header), IOVEC_BASE);
    store<u64>(iovec, RX_ROOM + header, IOVEC_LENGTH);
    store<u64>(message, absolute(region + RX_NAMES + (i << RX_NAME_SHIFT)), MMSGHDR_NAME);
    store<u64>(message, absolute(iovec), MMSGHDR_IOV);
    store<u64>(message, 1, MMSGHDR_IOV_COUNT);
    store<u64>(message, absolute(region + RX_CONTROL + (i << RX_CONTROL_SHIFT)), MMSGHDR_CONTROL);
  }
  rxArm(region, RX_CAPACITY);
}

/**
 * Sets again what the kernel overwrote in the first `count` messages. Returns how many the next batch
 * should have at most: as many as RX_BATCH octets hold if they are as large as these.
 */
export function rxArm(region: usize, count: u32): u32 {
  let octets: u32 = 0;
  let message = region + RX_HEADERS;
  const end = message + ((<usize>count) << MMSGHDR_SHIFT);
  for (; message < end; message += 1 << MMSGHDR_SHIFT) {
    octets += load<u32>(message, MMSGHDR_LENGTH);
    store<u32>(message, 1 << RX_NAME_SHIFT, MMSGHDR_NAME_LENGTH);
    store<u64>(message, 1 << RX_CONTROL_SHIFT, MMSGHDR_CONTROL_LENGTH);
  }
  return octets ? min<u32>(RX_CAPACITY, max<u32>(1, (RX_BATCH * count) / octets)) : RX_CAPACITY;
}

/** Where the packet of message `i` starts, after what its port put before it. */
export function rxPacket(region: usize, i: usize): usize {
  return region + RX_SLOTS + i * RX_SLOT + RX_HEADROOM;
}

/** Octets received in message `i`, all told. */
export function rxLength(region: usize, i: usize): i32 {
  return load<i32>(region + RX_HEADERS + (i << MMSGHDR_SHIFT), MMSGHDR_LENGTH);
}

/** The sender's sockaddr of message `i`. */
export function rxName(region: usize, i: usize): usize {
  return region + RX_NAMES + (i << RX_NAME_SHIFT);
}

export function rxNameLength(region: usize, i: usize): u32 {
  return load<u32>(region + RX_HEADERS + (i << MMSGHDR_SHIFT), MMSGHDR_NAME_LENGTH);
}

/** The data of the first ancillary message of this level and type in message `i`, or 0. */
export function rxAncillary(region: usize, i: usize, level: i32, type: i32): usize {
  const header = region + RX_HEADERS + (i << MMSGHDR_SHIFT);
  let at = region + RX_CONTROL + (i << RX_CONTROL_SHIFT);
  const room = min<usize>(load<u32>(header, MMSGHDR_CONTROL_LENGTH), 1 << RX_CONTROL_SHIFT);
  const end = at + room;
  while (at + CMSG_DATA <= end) {
    const length = <usize>load<u32>(at, CMSG_LENGTH);
    if (length < <usize>CMSG_DATA || length > end - at) return 0;
    if (load<i32>(at, CMSG_LEVEL) == level && load<i32>(at, CMSG_TYPE) == type)
      return at + CMSG_DATA;
    at += (length + CMSG_ALIGN - 1) & ~(CMSG_ALIGN - 1);
  }
  return 0;
}

/** Writes a message's header, without ancillary data; `name` is an absolute address, or 0. */
export function putMessageHeader(
  message: usize,
  name: u64,
  nameLength: u32,
  iovecs: usize,
  count: u64,
): void {
  store<u64>(message, name, MMSGHDR_NAME);
  store<u32>(message, nameLength, MMSGHDR_NAME_LENGTH);
  store<u64>(message, absolute(iovecs), MMSGHDR_IOV);
  store<u64>(message, count, MMSGHDR_IOV_COUNT);
  store<u64>(message, 0, MMSGHDR_CONTROL);
  store<u64>(message, 0, MMSGHDR_CONTROL_LENGTH);
  store<u32>(message, 0, MMSGHDR_FLAGS);
}

/**
 * Writes message `at` of the transmit region and its two iovecs, a prefix and what follows it.
 * `counted` is how many octets it counts for.
 */
export function putMessage(
  at: u32,
  name: usize,
  nameLength: u32,
  prefix: usize,
  prefixLength: usize,
  octets: usize,
  length: i32,
  counted: i32,
): void {
  const iovecs = ARENA_TX + TX_IOVECS + ((<usize>at) << (IOVEC_SHIFT + 1));
  store<u64>(iovecs, absolute(prefix), IOVEC_BASE);
  store<u64>(iovecs, prefixLength, IOVEC_LENGTH);
  store<u64>(iovecs, absolute(octets), (1 << IOVEC_SHIFT) + IOVEC_BASE);
  store<u64>(iovecs, length, (1 << IOVEC_SHIFT) + IOVEC_LENGTH);
  const message = ARENA_TX + TX_HEADERS + ((<usize>at) << MMSGHDR_SHIFT);
  putMessageHeader(message, absolute(name), nameLength, iovecs, 2);
  const note = ARENA_TX + ((<usize>at) << 2);
  store<u32>(note, 1, TX_SEGMENTS);
  store<u32>(note, counted, TX_LENGTHS);
}
