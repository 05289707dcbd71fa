// SPDX-License-Identifier: Apache-2.0
//
// Interfaces of the guest's network: init sets up those of the kernel's command line, the agent those that the host describes.

#pragma once

#include <linux/if.h>
#include <linux/in.h>
#include <linux/route.h>
#include <linux/sockios.h>

#include "agent-system.h"

// Addresses and masks are in network order throughout.

static struct sockaddr internet(uint32_t address) {
    struct sockaddr_in in = {.sin_family = 2 /* AF_INET */, .sin_addr = {address}};
    struct sockaddr any;
    memcpy(&any, &in, sizeof any);
    return any;
}

static int open_network(void) { return (int)CALL(socket, 2 /* AF_INET */, 2 /* SOCK_DGRAM */ | O_CLOEXEC, 0, 0, 0); }

/// Gives an interface its address, where it has one, and starts it. -errno.
static int start_interface(int fd, struct ifreq *request, uint32_t address, uint32_t mask) {
    int error = 0;
    if (address) {
        request->ifr_addr = internet(address), error = sys_ioctl(fd, SIOCSIFADDR, request);
        if (!error) request->ifr_netmask = internet(mask), error = sys_ioctl(fd, SIOCSIFNETMASK, request);
    }
    if (!error) request->ifr_flags = IFF_UP | IFF_RUNNING, error = sys_ioctl(fd, SIOCSIFFLAGS, request);
    return error;
}

/// Adds a route through an interface, by a router or directly. -errno.
static int add_route(int fd, char *interface, uint32_t target, uint32_t mask, uint32_t router) {
    struct rtentry route = {.rt_dst = internet(target), .rt_gateway = internet(router), .rt_genmask = internet(mask), .rt_dev = interface};
    route.rt_flags = (unsigned short)(RTF_UP | (router ? RTF_GATEWAY : 0) | (mask == ~0u ? RTF_HOST : 0));
    int error = sys_ioctl(fd, SIOCADDRT, &route);
    return error == -EEXIST ? 0 : error;
}

/// Does what a message says about an interface. -errno.
static int configure_interface(uint8_t type, const uint8_t *bytes, uint32_t count) {
    struct agent_payload payload = {bytes, bytes + count, 0};
    struct ifreq request = {0};
    const char *name = take_string(&payload);
    if (length(name) >= IFNAMSIZ) return -EINVAL;
    memcpy(request.ifr_name, name, length(name) + 1);
    int fd = open_network(), error = 0;
    if (fd < 0) return fd;
    if (type == FRAME_INTERFACE) {
        uint64_t hardware = take_number(&payload, 6);
        uint32_t size = (uint32_t)take_number(&payload, 4), address = (uint32_t)take_number(&payload, 4);
        uint32_t mask = (uint32_t)take_number(&payload, 4);
        if (payload.is_short || payload.at != payload.end) error = -EINVAL;
        request.ifr_hwaddr.sa_family = 1;  // ARPHRD_ETHER
        memcpy(request.ifr_hwaddr.sa_data, &hardware, 6);
        if (!error && hardware) error = sys_ioctl(fd, SIOCSIFHWADDR, &request);
        request.ifr_mtu = (int)size;
        if (!error && size) error = sys_ioctl(fd, SIOCSIFMTU, &request);
        if (!error) error = start_interface(fd, &request, address, mask);
    } else {
        uint32_t target = (uint32_t)take_number(&payload, 4), mask = (uint32_t)take_number(&payload, 4);
        uint32_t router = (uint32_t)take_number(&payload, 4);
        error = payload.is_short || payload.at != payload.end ? -EINVAL : add_route(fd, request.ifr_name, target, mask, router);
    }
    sys_close(fd);
    return error;
}
