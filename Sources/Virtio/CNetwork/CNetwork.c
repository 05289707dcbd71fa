// SPDX-License-Identifier: Apache-2.0

#include "CNetwork.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int result(int value) { return value < 0 ? -errno : value; }

int cnetwork_tap_attach(int tap, const char *name, bool has_queues) {
    struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (has_queues ? IFF_MULTI_QUEUE : 0))};
    if (strlen(name) >= IFNAMSIZ) return -ENAMETOOLONG;
    strcpy(request.ifr_name, name);
    return result(ioctl(tap, TUNSETIFF, &request));
}

int cnetwork_tap_interface(int tap, char name[IFNAMSIZ], unsigned *flags) {
    struct ifreq request = {0};
    if (ioctl(tap, TUNGETIFF, &request) < 0) return -errno;
    memcpy(name, request.ifr_name, IFNAMSIZ);
    name[IFNAMSIZ - 1] = 0;
    *flags = (uint16_t)request.ifr_flags;
    return 0;
}

int cnetwork_tap_set_header(int tap, int byte_count) {
    int is_little = 1;
    if (ioctl(tap, TUNSETVNETHDRSZ, &byte_count) < 0) return -errno;
    // Only a host of the other byte order needs it; a kernel that does not know it has no such mode.
    ioctl(tap, TUNSETVNETLE, &is_little);
    return 0;
}

int cnetwork_tap_set_offloads(int tap, unsigned offloads) {
    return result(ioctl(tap, TUNSETOFFLOAD, (unsigned long)offloads));
}

static int open_socket(void) { return result(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

int cnetwork_tap_index(int tap) {
    struct ifreq tap_address = {0}, address = {0};
    char name[IFNAMSIZ];
    unsigned flags;
    if (cnetwork_tap_interface(tap, name, &flags) < 0 || ioctl(tap, SIOCGIFHWADDR, &tap_address) < 0) return 0;
    int socket = open_socket();
    if (socket < 0) return 0;
    memcpy(address.ifr_name, name, IFNAMSIZ);
    int is_same = ioctl(socket, SIOCGIFHWADDR, &address) == 0 &&
                  memcmp(address.ifr_hwaddr.sa_data, tap_address.ifr_hwaddr.sa_data, 6) == 0;
    close(socket);
    return is_same ? cnetwork_interface_index(name) : 0;
}

int cnetwork_interface_index(const char *name) { return (int)if_nametoindex(name); }

// Interfaces are renamed at any time: the index stays.
static int named(int socket, int index, struct ifreq *request) {
    request->ifr_ifindex = index;
    return result(ioctl(socket, SIOCGIFNAME, request));
}

int cnetwork_interface_mtu(int socket, int index) {
    struct ifreq request = {0};
    int error = named(socket, index, &request);
    if (error < 0) return error;
    return ioctl(socket, SIOCGIFMTU, &request) < 0 ? -errno : request.ifr_mtu;
}

int cnetwork_interface_is_up(int socket, int index) {
    struct ifreq request = {0};
    int error = named(socket, index, &request);
    if (error < 0) return error;
    return ioctl(socket, SIOCGIFFLAGS, &request) < 0 ? -errno : (request.ifr_flags & IFF_UP) != 0;
}

int cnetwork_link_events(void) {
    int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (events < 0) return -errno;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    if (bind(events, (struct sockaddr *)&address, sizeof address) == 0) return events;
    int error = errno;
    close(events);
    return -error;
}

void cnetwork_link_events_take(int socket) {
    char message[1];
    // ENOBUFS says that some were lost, which is news as well.
    while (read(socket, message, sizeof message) >= 0 || errno == ENOBUFS || errno == EINTR) {}
}
