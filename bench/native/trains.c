/* The native limit of a relay's sending half: nothing but sendmmsg of UDP_SEGMENT trains.
 *
 *   trains LOCAL PORT PAYLOAD SEGMENTS MESSAGES TRAINS ADDRESS:FIRST_PORT:COUNT...
 *
 * A train holds SEGMENTS datagrams (a mean, as 37.5: trains then differ by one), each an AMT
 * Multicast Data message with a UDP payload of PAYLOAD octets. Every train goes to every gateway;
 * the messages that carry it share its octets. A system call is given MESSAGES messages, of several
 * trains if there are fewer gateways. TRAINS is how many trains to send, numbered like source.c
 * does, or 0 for an endless run of the same octets until SIGTERM. Says "ready" on stderr when it
 * begins. Prints datagrams, messages and calls. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "payload.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { AMT = 2, IP = 20, UDP = 8, HEADERS = AMT + IP + UDP };
enum { MAX_SEGMENTS = 64, MAX_OCTETS = 65507, MAX_TRAINS = 64 };

static volatile sig_atomic_t stopped;
static void stop(int signal) { stopped = signal; }

/* Adds the gateways of one argument to `to`, which has `count`; returns how many there are then. */
static int add_gateways(struct sockaddr_in **to, int count, const char *argument) {
  char address[16];
  int first, more;
  struct sockaddr_in one = {.sin_family = AF_INET};
  if (sscanf(argument, "%15[0-9.]:%d:%d", address, &first, &more) != 3 ||
      inet_pton(AF_INET, address, &one.sin_addr) != 1)
    errx(2, "%s: expected ADDRESS:FIRST_PORT:COUNT", argument);
  *to = realloc(*to, (count + more) * sizeof one);
  for (int port = first; port < first + more; port++) {
    one.sin_port = htons(port);
    (*to)[count++] = one;
  }
  return count;
}

static int open_socket(const char *address, int port, int segment) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 8 << 20;
  if (fd < 0) err(1, "socket");
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &local.sin_addr) != 1)
    errx(2, "LOCAL: expected IPv4, got %s", address);
  if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) err(1, "bind %s:%d", address, port);
  if (setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) err(1, "UDP_SEGMENT");
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  return fd;
}

int main(int argc, char **argv) {
  if (argc < 8) errx(2, "usage: trains LOCAL PORT PAYLOAD SEGMENTS MESSAGES TRAINS GATEWAYS...");
  size_t payload = strtoul(argv[3], NULL, 10), datagram = HEADERS + payload;
  double mean = strtod(argv[4], NULL);
  int per_call = atoi(argv[5]);
  unsigned long limit = strtoul(argv[6], NULL, 10);
  size_t most = (size_t)mean + (mean > (size_t)mean);
  if (mean < 1 || most > MAX_SEGMENTS || most * datagram > MAX_OCTETS)
    errx(2, "SEGMENTS: %s of %zu octets do not fit a message", argv[4], datagram);
  if (per_call < 1) errx(2, "MESSAGES: expected 1 or more, got %s", argv[5]);
  int fd = open_socket(argv[1], atoi(argv[2]), datagram);

  int gateways = 0;
  struct sockaddr_in *to = NULL;
  for (int i = 7; i < argc; i++) gateways = add_gateways(&to, gateways, argv[i]);

  /* A burst: `trains` trains for every gateway, as messages one after another. */
  int trains = (per_call + gateways - 1) / gateways;
  if (trains > MAX_TRAINS) trains = MAX_TRAINS;
  if (limit > 0) trains = 1;
  static uint8_t octets[MAX_TRAINS][MAX_OCTETS];
  struct iovec parts[MAX_TRAINS];
  int count = trains * gateways;
  struct mmsghdr *messages = calloc(count, sizeof *messages);
  for (int i = 0; i < count; i++)
    messages[i].msg_hdr = (struct msghdr){.msg_name = &to[i % gateways],
                                          .msg_namelen = sizeof *to,
                                          .msg_iov = &parts[i / gateways],
                                          .msg_iovlen = 1};
  for (int train = 0; train < trains; train++)
    for (size_t i = 0; i < most; i++) {
      uint8_t *at = octets[train] + i * datagram;
      at[0] = 6; /* Multicast Data */
      at[AMT] = 0x45;
      fill(at + HEADERS, payload, i);
    }

  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  fputs("ready\n", stderr);
  uint64_t datagrams = 0, sent = 0, calls = 0, sequence = 0;
  double owed = 0;
  for (unsigned long bursts = 0; !stopped && (limit == 0 || bursts < limit); bursts++) {
    for (int train = 0; train < trains; train++) {
      owed += mean;
      int segments = (int)owed;
      owed -= segments;
      parts[train] = (struct iovec){octets[train], segments * datagram};
      for (int i = 0; limit > 0 && i < segments; i++)
        fill(octets[train] + i * datagram + HEADERS, payload, sequence++);
    }
    for (int next = 0; next < count && !stopped;) {
      int wanted = count - next < per_call ? count - next : per_call;
      int done = sendmmsg(fd, messages + next, wanted, 0);
      if (done < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) err(1, "sendmmsg");
      calls++;
      for (int end = next + done; next < end; next++, sent++)
        datagrams += parts[next / gateways].iov_len / datagram;
    }
  }
  printf("{\"datagrams\":%llu,\"messages\":%llu,\"calls\":%llu}\n", (unsigned long long)datagrams,
         (unsigned long long)sent, (unsigned long long)calls);
}
