/* Receives one gateway's datagrams and compares each with what source.c sent.
 *
 *   check ADDRESS PORT SKIP PAYLOAD [SOURCE INTERFACE]
 *
 * ADDRESS is the gateway's own, or a group that is joined for one SOURCE on the interface with the
 * address INTERFACE. SKIP octets of each datagram stand before the payload (2 of AMT and 28 of IP
 * and UDP, say). Says "ready" on stderr. On SIGTERM it reads what is there still, ends, and prints
 * how many came, how many of them were `wrong` in length or content, how many came `late` (a number
 * not above the one before), and how many numbers were `missing` between the first and the last. */
#include "listen.h"
#include <signal.h>
#include <stdio.h>
#include "payload.h"

static volatile sig_atomic_t stopped;
static void stop(int signal) { stopped = signal; }

int main(int argc, char **argv) {
  if (argc != 5 && argc != 7)
    errx(2, "usage: check ADDRESS PORT SKIP PAYLOAD [SOURCE INTERFACE]");
  size_t skip = strtoul(argv[3], NULL, 10), payload = strtoul(argv[4], NULL, 10);
  int fd = listen_on(argv[1], argv[2], argc == 7 ? argv[5] : NULL, argc == 7 ? argv[6] : NULL);
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  fputs("ready\n", stderr);

  static uint8_t octets[65536];
  uint64_t received = 0, wrong = 0, late = 0, missing = 0, next = 0;
  for (;;) {
    ssize_t length = recv(fd, octets, sizeof octets, stopped ? MSG_DONTWAIT : 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
      if (stopped && errno == EAGAIN) break;
      continue;
    }
    if (length < 0) err(1, "recv");
    int first = received++ == 0;
    int right = (size_t)length == skip + payload;
    uint64_t sequence = right ? get_sequence(octets + skip) : 0;
    for (size_t at = SEQUENCE; right && at < payload; at++)
      right = octets[skip + at] == filler(sequence, at);
    if (!right) {
      wrong++;
      continue;
    }
    if (!first && sequence < next) late++;
    else {
      if (!first) missing += sequence - next;
      next = sequence + 1;
    }
  }
  printf("{\"received\":%llu,\"wrong\":%llu,\"late\":%llu,\"missing\":%llu}\n",
         (unsigned long long)received, (unsigned long long)wrong, (unsigned long long)late,
         (unsigned long long)missing);
}
