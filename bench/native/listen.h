/* The socket of a program that receives: bound to an address of this host, or to a group that is
 * joined for one source on one interface. */
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

/* `source` and `interface` are NULL for an address of this host; else the interface is named by its
 * address. Reading it waits 100 ms at most, since a signal may come just before. */
static int listen_on(const char *address, const char *port, const char *source,
                     const char *interface) {
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  if (inet_pton(AF_INET, address, &local.sin_addr) != 1)
    errx(2, "ADDRESS: expected IPv4, got %s", address);
  int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 64 << 20;
  if (fd < 0) err(1, "socket");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0) err(1, "SO_RCVBUFFORCE");
  struct timeval wait = {.tv_usec = 100000};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0) err(1, "SO_RCVTIMEO");
  if (source) {
    struct ip_mreq_source join = {.imr_multiaddr = local.sin_addr};
    int shared = 1; /* another listener may have joined at this port */
    if (inet_pton(AF_INET, source, &join.imr_sourceaddr) != 1 ||
        inet_pton(AF_INET, interface, &join.imr_interface) != 1)
      errx(2, "SOURCE INTERFACE: expected IPv4, got %s %s", source, interface);
    if (setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &join, sizeof join) < 0)
      err(1, "IP_ADD_SOURCE_MEMBERSHIP");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &shared, sizeof shared) < 0)
      err(1, "SO_REUSEADDR");
  }
  if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) err(1, "bind %s:%s", address, port);
  return fd;
}
