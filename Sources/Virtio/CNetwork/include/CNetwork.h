// SPDX-License-Identifier: Apache-2.0
//
// What network interfaces need of the kernel: ioctl requests, which the Glibc module does not show to Swift. Each function
// returns at least 0, or -errno, unless it says otherwise.
#ifndef MARTLET_CNETWORK_H
#define MARTLET_CNETWORK_H

#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// MARK: - TAP

/// Makes an open /dev/net/tun an end of interface `name`, with a virtio_net_hdr before each frame (TUNSETIFF).
///
/// The kernel makes an interface that does not exist, where the caller may.
int cnetwork_tap_attach(int tap, const char *name, bool has_queues);
/// The name and the IFF_ flags of the interface behind an open descriptor (TUNGETIFF): -EBADFD where there is none,
/// -ENOTTY where the descriptor is something else.
int cnetwork_tap_interface(int tap, char name[_Nonnull IFNAMSIZ], unsigned *flags);
/// Makes the header before each frame `byte_count` bytes long (TUNSETVNETHDRSZ), in little-endian order.
int cnetwork_tap_set_header(int tap, int byte_count);
/// Says which frames the reader takes unfinished, by TUN_F_ flags (TUNSETOFFLOAD): -EINVAL for a set that makes no sense.
int cnetwork_tap_set_offloads(int tap, unsigned offloads);
/// The index of the TAP's interface if this network namespace has it; 0 where another one does.
///
/// Compares the hardware address, which a name in two namespaces does not share.
int cnetwork_tap_index(int tap);

// MARK: - Interfaces

/// The index of an interface of this network namespace; 0 where there is none with that name.
int cnetwork_interface_index(const char *name);
/// The maximum transmission unit in bytes (SIOCGIFMTU).
int cnetwork_interface_mtu(int socket, int index);
/// 1 where the interface is up, 0 where it is down: -ENODEV where it is gone.
int cnetwork_interface_is_up(int socket, int index);
/// A socket that becomes readable whenever an interface of this namespace changes (rtnetlink, RTMGRP_LINK).
int cnetwork_link_events(void);
/// Takes all that such a socket has to tell.
void cnetwork_link_events_take(int socket);

// MARK: - The network of a container

/// An Ethernet interface. Addresses are in network order.
struct cnetwork_interface {
    char name[IFNAMSIZ];
    int index, mtu;
    uint8_t hardware_address[6];
    uint32_t address, mask;  // of IPv4; 0 for none
};
/// The Ethernet interfaces of this thread's network namespace that are up: their number, at most `limit`.
int cnetwork_interfaces(struct cnetwork_interface *out, int limit);
/// Moves this thread into the network namespace that an open descriptor stands for (setns).
int cnetwork_enter(int network_namespace);
/// Moves this thread into a network namespace of its own (unshare).
int cnetwork_leave(void);
/// Makes a TAP that stays when this process closes it, or takes one that nobody uses, and starts it: its index.
///
/// The user `owner` can open it without any right. -EBUSY where somebody has it open.
int cnetwork_tap_make(const char *name, unsigned owner, int mtu);
/// Opens such a TAP, which from now on goes with this descriptor.
int cnetwork_tap_take(const char *name);
/// Sends all frames that one interface receives out of another one (tc-mirred), in place of what was set up there before.
int cnetwork_redirect(int from, int to);
/// Lets this host's side of a namespace reach the loopback addresses of the guest at a TAP, whose frames go to `other` otherwise.
///
/// A connection to 127.0.0.1 goes to the guest from then on, and to no program of this namespace. The guest has the hardware address of
/// `other`; it sees `own_address`, which the TAP `name` gets, as the peer. Its interface needs a route to that and `route_localnet`.
/// Packets for loopback addresses that arrive at `other` are dropped.
int cnetwork_serve_loopback(int tap, const struct cnetwork_interface *other, const char *name, uint32_t own_address);

#pragma clang assume_nonnull end

#endif
