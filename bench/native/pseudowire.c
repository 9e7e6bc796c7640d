/*
 * The user-space limit of an Ethernet pseudowire: the system calls that Culvert makes, in batches of
 * the same size, and nothing else. Frames and super-frames are read from a TAP device and sent in
 * UDP_SEGMENT trains; trains are received with UDP_GRO and written to the device. Nothing is copied,
 * no checksum is computed, no header of an inner packet is touched: a super-frame travels as it is,
 * with its virtio_net_hdr, in pieces that the other end puts together again. Where a pseudowire has a
 * segment's headers there is room in each piece, so that it takes as many datagrams.
 *
 *     pseudowire TAP LOCAL LOCAL_PORT REMOTE REMOTE_PORT
 *
 * Prints "ready" to standard error once it works, and ends on SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
  BATCH = 192,      /* frames read, and messages received, before the other side gets its turn */
  CACHED = 0x80000, /* octets of frames likewise, which caches still hold when they are sent on */
  SLOT = 67136,     /* octets of a frame or a train */
  HEADER = 2,       /* of a piece: u8 index, u8 pieces */
  REPEATED = 76,    /* octets of virtio_net_hdr, Ethernet, IPv4, and TCP with timestamps */
  PAYLOAD = 1394,   /* octets of TCP's payload in one datagram of 1,500 */
  FIRST = REPEATED + PAYLOAD, /* octets of a frame in its first piece */
  DATAGRAMS = 44,   /* in one message: together below 65,507 octets */
  PIECES = 64       /* of one frame, at most */
};

static char tap_slots[BATCH][SLOT];
static char net_slots[2][BATCH][SLOT]; /* in turn: a frame may end in the batch after its own */
static char headers[BATCH][PIECES][HEADER + REPEATED];
static struct mmsghdr out[BATCH * 2], in[BATCH];
static struct iovec out_parts[BATCH * PIECES * 2], in_parts[BATCH];
static int used; /* of out_parts */
static char out_control[BATCH * 2][CMSG_SPACE(sizeof(uint16_t))];
static char in_control[BATCH][CMSG_SPACE(sizeof(int)) + 64];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_tap(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (fd < 0) fail("/dev/net/tun");
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (ioctl(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) < 0 &&
      ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
    fail("TUNSETOFFLOAD");
  return fd;
}

static struct sockaddr_in address(const char *text, const char *port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  if (inet_pton(AF_INET, text, &name.sin_addr) != 1) fail(text);
  return name;
}

static int open_udp(struct sockaddr_in *local) {
  int on = 1, size = 8 << 20;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (fd < 0) fail("socket");
  setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  if (bind(fd, (void *)local, sizeof *local) < 0) fail("bind");
  return fd;
}

/* Makes the message one of datagrams of `size` octets each but the last. */
static void segment(int i, int size) {
  struct msghdr *message = &out[i].msg_hdr;
  message->msg_control = out_control[i];
  message->msg_controllen = sizeof out_control[i];
  struct cmsghdr *control = CMSG_FIRSTHDR(message);
  uint16_t octets = size;
  control->cmsg_level = IPPROTO_UDP;
  control->cmsg_type = UDP_SEGMENT;
  control->cmsg_len = CMSG_LEN(sizeof octets);
  memcpy(CMSG_DATA(control), &octets, sizeof octets);
}

/*
 * Adds a datagram of two parts, of `length` octets, to the last of the messages if it can end that train,
 * else as a message of its own. Returns how many messages there are then.
 */
static int add(struct iovec *parts, int length, int messages, struct sockaddr_in *remote) {
  static int size; /* of the last message's datagrams */
  static int ended;
  struct msghdr *last = &out[messages - 1].msg_hdr;
  if (messages > 0 && !ended && length <= size && last->msg_iovlen < DATAGRAMS * 2) {
    last->msg_iovlen += 2;
    segment(messages - 1, size);
    ended = length < size;
    return messages;
  }
  out[messages].msg_hdr = (struct msghdr){
      .msg_name = remote, .msg_namelen = sizeof *remote, .msg_iov = parts, .msg_iovlen = 2};
  size = length;
  ended = 0;
  return messages + 1;
}

/* Adds the datagrams for the frame of `length` octets in slot `i`, as `add` does. */
static int cut(int i, int length, int messages, struct sockaddr_in *remote) {
  int pieces = 1 + (length > FIRST ? (length - FIRST + PAYLOAD - 1) / PAYLOAD : 0);
  for (int piece = 0, start = 0; piece < pieces; piece++) {
    char *header = headers[i][piece];
    header[0] = piece;
    header[1] = pieces;
    int before = piece == 0 ? HEADER : HEADER + REPEATED;
    int most = piece == 0 ? FIRST : PAYLOAD, rest = length - start;
    int octets = rest < most ? rest : most;
    struct iovec *parts = &out_parts[used];
    used += 2;
    parts[0] = (struct iovec){header, before};
    parts[1] = (struct iovec){tap_slots[i] + start, octets};
    messages = add(parts, before + octets, messages, remote);
    start += octets;
  }
  return messages;
}

static void from_tap(int tap, int net, struct sockaddr_in *remote) {
  int messages = 0, done = 0, octets = 0;
  used = 0;
  for (int i = 0; i < BATCH && octets < CACHED; i++) {
    int length = read(tap, tap_slots[i], SLOT);
    if (length <= 0) break;
    messages = cut(i, length, messages, remote);
    octets += length;
  }
  while (done < messages) {
    int sent = sendmmsg(net, out + done, messages - done, 0);
    if (sent < 0 && errno == EAGAIN) {
      struct pollfd wait = {.fd = net, .events = POLLOUT};
      poll(&wait, 1, -1);
      continue;
    }
    done += sent < 0 ? 1 : sent;
  }
}

/* The frame being put together. */
static struct iovec frame[PIECES];
static int frame_pieces;

static int segment_size(struct msghdr *message, int length) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(c), sizeof size);
      return size;
    }
  return length;
}

static void from_net(int net, int tap) {
  static int turn;
  char(*slots)[SLOT] = net_slots[turn ^= 1];
  for (int i = 0; i < BATCH; i++) {
    in_parts[i] = (struct iovec){slots[i], SLOT};
    in[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i],
                                    .msg_iovlen = 1,
                                    .msg_control = in_control[i],
                                    .msg_controllen = sizeof in_control[i]};
  }
  int received = recvmmsg(net, in, BATCH, MSG_DONTWAIT, NULL);
  for (int i = 0; i < received; i++) {
    int length = in[i].msg_len, size = segment_size(&in[i].msg_hdr, length);
    for (int at = 0; at + HEADER < length; at += size) {
      char *piece = slots[i] + at;
      int rest = length - at < size ? length - at : size;
      int index = piece[0], pieces = piece[1], before = index == 0 ? HEADER : HEADER + REPEATED;
      if (index == 0) frame_pieces = 0;
      if (index != frame_pieces || frame_pieces == PIECES || rest <= before) continue;
      frame[frame_pieces++] = (struct iovec){piece + before, rest - before};
      if (frame_pieces == pieces && writev(tap, frame, frame_pieces) < 0 && errno != EIO) fail("write");
    }
  }
}

int main(int count, char **words) {
  if (count != 6) {
    fprintf(stderr, "pseudowire TAP LOCAL LOCAL_PORT REMOTE REMOTE_PORT\n");
    return 2;
  }
  struct sockaddr_in local = address(words[2], words[3]), remote = address(words[4], words[5]);
  int tap = open_tap(words[1]), net = open_udp(&local);
  fprintf(stderr, "ready\n");
  struct pollfd ports[2] = {{.fd = tap, .events = POLLIN}, {.fd = net, .events = POLLIN}};
  for (;;) {
    if (poll(ports, 2, -1) < 0) fail("poll");
    if (ports[0].revents) from_tap(tap, net, &remote);
    if (ports[1].revents) from_net(net, tap);
  }
}
