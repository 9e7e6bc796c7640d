/* The native limit of a relay's sending half: nothing but sendmmsg of UDP_SEGMENT trains, one
 * train's octets shared by the messages to every gateway.
 *
 *   trains LOCAL PORT PAYLOAD SEGMENTS MESSAGES TRAINS ADDRESS:FIRST_PORT:COUNT...
 *
 * Each train holds SEGMENTS datagrams (a mean, as 37.5: trains then differ by one) of an AMT
 * Multicast Data message with a UDP payload of PAYLOAD octets, and goes to every gateway, MESSAGES
 * of them a system call. TRAINS is how many to send, numbered like source.c does, or 0 for an
 * endless run of the same octets until SIGTERM. Prints datagrams, messages and calls. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "payload.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { AMT = 2, IP = 20, UDP = 8, HEADERS = AMT + IP + UDP, MAX_SEGMENTS = 64, MAX_OCTETS = 65507 };

static volatile sig_atomic_t stopped;
static void stop(int signal) { stopped = signal; }

int main(int argc, char **argv) {
  if (argc < 8)
    errx(2, "usage: trains LOCAL PORT PAYLOAD SEGMENTS MESSAGES TRAINS ADDRESS:FIRST_PORT:COUNT...");
  size_t payload = strtoul(argv[3], NULL, 10), datagram = HEADERS + payload;
  double mean = strtod(argv[4], NULL);
  int per_call = atoi(argv[5]);
  unsigned long limit = strtoul(argv[6], NULL, 10);
  size_t most = (size_t)mean + (mean > (size_t)mean);
  if (mean < 1 || most > MAX_SEGMENTS || most * datagram > MAX_OCTETS)
    errx(2, "SEGMENTS: %s of %zu octets do not fit a message", argv[4], datagram);
  if (per_call < 1) errx(2, "MESSAGES: expected 1 or more, got %s", argv[5]);

  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) err(1, "socket");
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &local.sin_addr) != 1)
    errx(2, "LOCAL: expected IPv4, got %s", argv[1]);
  if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) err(1, "bind %s:%s", argv[1], argv[2]);
  int segment = datagram, room = 8 << 20;
  if (setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) err(1, "UDP_SEGMENT");
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);

  int gateways = 0;
  struct sockaddr_in *to = NULL;
  for (int i = 7; i < argc; i++) {
    char address[16];
    int first, count;
    if (sscanf(argv[i], "%15[0-9.]:%d:%d", address, &first, &count) != 3)
      errx(2, "%s: expected ADDRESS:FIRST_PORT:COUNT", argv[i]);
    to = realloc(to, (gateways + count) * sizeof *to);
    for (int port = first; port < first + count; port++, gateways++) {
      to[gateways] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
      inet_pton(AF_INET, address, &to[gateways].sin_addr);
    }
  }

  static uint8_t train[MAX_OCTETS];
  struct iovec part = {.iov_base = train};
  struct mmsghdr *messages = calloc(gateways, sizeof *messages);
  for (int i = 0; i < gateways; i++)
    messages[i].msg_hdr = (struct msghdr){
        .msg_name = &to[i], .msg_namelen = sizeof *to, .msg_iov = &part, .msg_iovlen = 1};
  for (int i = 0; (i + 1) * datagram <= MAX_OCTETS; i++) {
    uint8_t *at = train + i * datagram;
    at[0] = 6;
    at[AMT] = 0x45;
    fill(at + HEADERS, payload, i);
  }

  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  uint64_t datagrams = 0, sent = 0, calls = 0, sequence = 0;
  double owed = 0;
  for (unsigned long trains = 0; !stopped && (limit == 0 || trains < limit); trains++) {
    owed += mean;
    int segments = (int)owed;
    owed -= segments;
    part.iov_len = segments * datagram;
    if (limit > 0)
      for (int i = 0; i < segments; i++) fill(train + i * datagram + HEADERS, payload, sequence++);
    for (int next = 0; next < gateways && !stopped;) {
      int wanted = gateways - next < per_call ? gateways - next : per_call;
      int done = sendmmsg(fd, messages + next, wanted, 0);
      if (done < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) err(1, "sendmmsg");
      calls++;
      if (done <= 0) continue;
      next += done;
      sent += done;
      datagrams += (uint64_t)done * segments;
    }
  }
  printf("{\"datagrams\":%llu,\"messages\":%llu,\"calls\":%llu}\n", (unsigned long long)datagrams,
         (unsigned long long)sent, (unsigned long long)calls);
}
