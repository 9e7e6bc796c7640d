/* Sends UDP datagrams to a multicast group: as fast as the system takes them, or COUNT of them at
 * RATE a second.
 *
 *   source [-s SEGMENTS] CPU ADDRESS GROUP PORT OCTETS SECONDS          saturation
 *   source [-s SEGMENTS] CPU ADDRESS GROUP PORT OCTETS COUNT RATE       paced
 *
 * They are ordinary datagrams, or with -s trains of SEGMENTS of them (UDP_SEGMENT).
 * CPU is the core to run on, -1 for any. Says "ready" on stderr when it begins. Prints how many
 * datagrams it sent in how many seconds. SIGTERM ends it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "payload.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { KINDS = 256, BATCH = 64, CATCH_UP = 128, MAX_SEGMENTS = 64, MAX_OCTETS = 65507 };

static volatile sig_atomic_t stopped;
static void stop(int signal) { stopped = signal; }

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  uint64_t segments = 1;
  if (argc > 2 && strcmp(argv[1], "-s") == 0) {
    segments = strtoul(argv[2], NULL, 10);
    argv += 2;
    argc -= 2;
  }
  if (argc != 7 && argc != 8)
    errx(2, "usage: source [-s SEGMENTS] CPU ADDRESS GROUP PORT OCTETS SECONDS|COUNT [RATE]");
  int cpu = atoi(argv[1]);
  size_t octets = strtoul(argv[5], NULL, 10);
  if (octets < SEQUENCE || octets > MAX_OCTETS)
    errx(2, "OCTETS: expected %d to %d", SEQUENCE, MAX_OCTETS);
  if (segments < 1 || segments > MAX_SEGMENTS || segments * octets > MAX_OCTETS)
    errx(2, "SEGMENTS: expected 1 to %d, together %d octets at most", MAX_SEGMENTS, MAX_OCTETS);
  uint64_t count = argc == 8 ? strtoull(argv[6], NULL, 10) : UINT64_MAX;
  double seconds = argc == 8 ? 1e9 : strtod(argv[6], NULL);
  double rate = argc == 8 ? strtod(argv[7], NULL) : 0;

  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (cpu >= 0) CPU_SET(cpu, &cpus);
  if (cpu >= 0 && sched_setaffinity(0, sizeof cpus, &cpus) < 0) err(1, "sched_setaffinity %d", cpu);

  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) err(1, "socket");
  struct in_addr interface;
  struct sockaddr_in group = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[4]))};
  if (inet_pton(AF_INET, argv[2], &interface) != 1)
    errx(2, "ADDRESS: expected IPv4, got %s", argv[2]);
  if (inet_pton(AF_INET, argv[3], &group.sin_addr) != 1)
    errx(2, "GROUP: expected IPv4, got %s", argv[3]);
  int ttl = 8;
  if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof interface) < 0)
    err(1, "IP_MULTICAST_IF");
  if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) < 0)
    err(1, "IP_MULTICAST_TTL");
  int size = octets;
  if (segments > 1 && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof size) < 0)
    err(1, "UDP_SEGMENT");
  if (connect(fd, (struct sockaddr *)&group, sizeof group) < 0) err(1, "connect %s", argv[3]);

  /* The filler of each value of the lowest octet, side by side: that much stays in a core's cache. */
  uint8_t *payloads = malloc(KINDS * octets);
  if (!payloads) err(1, "malloc");
  struct iovec parts[KINDS];
  struct mmsghdr messages[BATCH] = {0};
  for (int i = 0; i < KINDS; i++) fill(payloads + i * octets, octets, i);
  /* Each datagram of a call has a payload of its own. */
  uint64_t batch = KINDS / segments < BATCH ? KINDS / segments : BATCH;
  for (uint64_t i = 0; i < batch; i++)
    messages[i].msg_hdr =
        (struct msghdr){.msg_iov = &parts[i * segments], .msg_iovlen = segments};

  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  fputs("ready\n", stderr);
  uint64_t sent = 0;
  double start = now();
  while (sent < count && !stopped && now() - start < seconds) {
    if (rate > 0 && sent > rate * (now() - start)) {
      nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
      continue;
    }
    double late = rate > 0 ? now() - start - (sent + CATCH_UP) / rate : 0;
    if (late > 0) start += late;
    uint64_t wanted = rate > 0 ? 1 : batch;
    if (count - sent < segments) messages[0].msg_hdr.msg_iovlen = count - sent;
    for (uint64_t i = 0; i < wanted * segments; i++) {
      uint8_t *payload = payloads + (sent + i) % KINDS * octets;
      put_sequence(payload, sent + i);
      parts[i] = (struct iovec){.iov_base = payload, .iov_len = octets};
    }
    int done = sendmmsg(fd, messages, wanted, 0);
    if (done < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) err(1, "sendmmsg");
    for (int i = 0; i < done; i++) sent += messages[i].msg_hdr.msg_iovlen;
  }
  printf("{\"datagrams\":%llu,\"seconds\":%.6f}\n", (unsigned long long)sent, now() - start);
}
