/* How long datagrams take from one program to another host's stack on the same machine.
 *
 *   latency send ADDRESS TO PORT OCTETS COUNT RATE
 *   latency receive ADDRESS PORT [SOURCE INTERFACE]
 *
 * The sender, bound to ADDRESS, writes the time into each datagram and sleeps between them. The
 * receiver compares it with the time at which the kernel took the datagram in (SO_TIMESTAMPNS): how
 * soon a program is woken to read it is not in the figure. ADDRESS of the receiver is the host's own,
 * or a group that is joined for SOURCE on the interface with the address INTERFACE.
 *
 * Both say "ready" on stderr. On SIGTERM the receiver reads what is there still and prints how many
 * came and, in nanoseconds, the times that half, 99 % and 99.9 % of them did not exceed. */
#include "listen.h"
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

enum { MAX_OCTETS = 65507, MAX_SAMPLES = 1 << 22 };

static volatile sig_atomic_t stopped;
static void stop(int signal) { stopped = signal; }

static int64_t nanoseconds(struct timespec time) {
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return nanoseconds(time);
}

static int send_all(char **words) {
  struct sockaddr_in local = {.sin_family = AF_INET};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
  if (inet_pton(AF_INET, words[0], &local.sin_addr) != 1 ||
      inet_pton(AF_INET, words[1], &to.sin_addr) != 1)
    errx(2, "ADDRESS TO: expected IPv4, got %s %s", words[0], words[1]);
  size_t octets = strtoul(words[3], NULL, 10);
  uint64_t count = strtoull(words[4], NULL, 10);
  int64_t gap = 1e9 / strtod(words[5], NULL);
  static uint8_t payload[MAX_OCTETS];
  if (octets < sizeof gap || octets > MAX_OCTETS)
    errx(2, "OCTETS: expected %zu to %d", sizeof gap, MAX_OCTETS);
  int fd = socket(AF_INET, SOCK_DGRAM, 0), ttl = 8;
  if (fd < 0) err(1, "socket");
  if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &local.sin_addr, sizeof local.sin_addr) < 0)
    err(1, "IP_MULTICAST_IF");
  if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) < 0)
    err(1, "IP_MULTICAST_TTL");
  if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) err(1, "bind %s", words[0]);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) err(1, "connect %s", words[1]);
  prctl(PR_SET_TIMERSLACK, 1);
  fputs("ready\n", stderr);
  int64_t next = now(CLOCK_MONOTONIC);
  for (uint64_t sent = 0; sent < count && !stopped; sent++, next += gap) {
    struct timespec until = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    int64_t time = now(CLOCK_REALTIME);
    memcpy(payload, &time, sizeof time);
    if (send(fd, payload, octets, 0) < 0 && errno != ENOBUFS) err(1, "send");
  }
  return 0;
}

static int ascending(const void *a, const void *b) {
  int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
  return (one > other) - (one < other);
}

/* The sample that `share`, below 1, of the sorted samples come before. */
static long long below(const int64_t *samples, size_t count, double share) {
  return count == 0 ? 0 : samples[(size_t)(share * count)];
}

static int receive_all(int count, char **words) {
  int fd = listen_on(words[0], words[1], count == 4 ? words[2] : NULL, count == 4 ? words[3] : NULL);
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0) err(1, "SO_TIMESTAMPNS");
  static int64_t samples[MAX_SAMPLES];
  size_t received = 0;
  fputs("ready\n", stderr);
  for (;;) {
    uint8_t payload[MAX_OCTETS];
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec part = {payload, sizeof payload};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(fd, &message, stopped ? MSG_DONTWAIT : 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
      if (stopped && errno == EAGAIN) break;
      continue;
    }
    if (length < 0) err(1, "recvmsg");
    struct cmsghdr *taken = CMSG_FIRSTHDR(&message);
    if (taken == NULL || received == MAX_SAMPLES) continue;
    int64_t sent;
    struct timespec at;
    memcpy(&sent, payload, sizeof sent);
    memcpy(&at, CMSG_DATA(taken), sizeof at);
    samples[received++] = nanoseconds(at) - sent;
  }
  qsort(samples, received, sizeof *samples, ascending);
  printf("{\"received\":%zu,\"p50\":%lld,\"p99\":%lld,\"p99.9\":%lld}\n", received,
         below(samples, received, 0.5), below(samples, received, 0.99),
         below(samples, received, 0.999));
  return 0;
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  /* No page is to be looked for while datagrams are on their way. */
  if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) err(1, "mlockall");
  if (argc == 8 && strcmp(argv[1], "send") == 0) return send_all(argv + 2);
  if ((argc == 4 || argc == 6) && strcmp(argv[1], "receive") == 0)
    return receive_all(argc - 2, argv + 2);
  errx(2, "usage: latency send ADDRESS TO PORT OCTETS COUNT RATE\n"
          "       latency receive ADDRESS PORT [SOURCE INTERFACE]");
}
