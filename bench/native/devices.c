/* What the kernel alone takes for many TAP devices: makes them as Culvert does, one after another.
 *
 *   devices COUNT NAME MTU
 *
 * Names are NAME0, NAME1 and so on. Prints {"seconds":S} once they are there, and removes them
 * together: to close them one by one takes a hundred times as long as to make them. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if.h>
#include <linux/if_tun.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum { GROUP = 1701, SPARE_DESCRIPTORS = 64 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 4) errx(2, "usage: devices COUNT NAME MTU");
  unsigned count = atoi(argv[1]);
  struct rlimit limit = {count + SPARE_DESCRIPTORS, count + SPARE_DESCRIPTORS};
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) err(1, "RLIMIT_NOFILE");
  int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) err(1, "socket");
  double from = now();
  for (unsigned i = 0; i < count; i++) {
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) err(1, "/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s%u", argv[2], i);
    if (ioctl(fd, TUNSETIFF, &request) < 0) err(1, "TUNSETIFF %s%u", argv[2], i);
    unsigned long segments = TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6;
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | segments) < 0) err(1, "TUNSETOFFLOAD");
    request.ifr_mtu = atoi(argv[3]);
    if (ioctl(any, SIOCSIFMTU, &request) < 0) err(1, "SIOCSIFMTU");
  }
  printf("{\"seconds\":%.6f}\n", now() - from);
  FILE *ip = popen("ip -batch -", "w");
  if (ip == NULL) err(1, "ip");
  for (unsigned i = 0; i < count; i++)
    fprintf(ip, "link set dev %s%u group %d\n", argv[2], i, GROUP);
  fprintf(ip, "link delete group %d\n", GROUP);
  int status = pclose(ip);
  if (status != 0) errx(1, "ip: status %d", status);
}
