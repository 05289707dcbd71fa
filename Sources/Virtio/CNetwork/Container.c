// SPDX-License-Identifier: Apache-2.0

#include "CNetwork.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int result(int value) { return value < 0 ? -errno : value; }

static int open_socket(void) { return result(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

int cnetwork_enter(int network_namespace) { return result(setns(network_namespace, CLONE_NEWNET)); }

int cnetwork_leave(void) { return result(unshare(CLONE_NEWNET)); }

// MARK: - Interfaces

static uint32_t internet_address(int socket, unsigned long request, struct ifreq *interface) {
    struct sockaddr_in address;
    if (ioctl(socket, request, interface) < 0) return 0;
    memcpy(&address, &interface->ifr_addr, sizeof address);
    return address.sin_addr.s_addr;
}

int cnetwork_interfaces(struct cnetwork_interface *out, int limit) {
    int socket = open_socket(), count = 0;
    if (socket < 0) return socket;
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *one = all; one && one->if_index && count < limit; one++) {
        struct cnetwork_interface found = {.index = (int)one->if_index};
        struct ifreq request = {0};
        strncpy(found.name, one->if_name, IFNAMSIZ - 1);
        memcpy(request.ifr_name, found.name, IFNAMSIZ);
        if (ioctl(socket, SIOCGIFFLAGS, &request) < 0 || !(request.ifr_flags & IFF_UP)) continue;
        if (ioctl(socket, SIOCGIFHWADDR, &request) < 0 || request.ifr_hwaddr.sa_family != ARPHRD_ETHER) continue;
        memcpy(found.hardware_address, request.ifr_hwaddr.sa_data, 6);
        found.mtu = ioctl(socket, SIOCGIFMTU, &request) < 0 ? 0 : request.ifr_mtu;
        found.address = internet_address(socket, SIOCGIFADDR, &request);
        found.mask = internet_address(socket, SIOCGIFNETMASK, &request);
        out[count++] = found;
    }
    int error = all ? 0 : -errno;
    if (all) if_freenameindex(all);
    close(socket);
    return error < 0 ? error : count;
}

// MARK: - TAP

static int open_tap(const char *name) {
    int tap = result(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    int error = tap < 0 ? tap : cnetwork_tap_attach(tap, name, false);
    if (error >= 0) return tap;
    if (tap >= 0) close(tap);
    return error;
}

static int start(const char *name, int mtu) {
    struct ifreq request = {.ifr_mtu = mtu};
    int socket = open_socket();
    if (socket < 0) return socket;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    int error = result(ioctl(socket, SIOCSIFMTU, &request));
    request.ifr_flags = IFF_UP;
    if (error >= 0) error = result(ioctl(socket, SIOCSIFFLAGS, &request));
    close(socket);
    return error;
}

int cnetwork_tap_make(const char *name, unsigned owner, int mtu) {
    int tap = open_tap(name);
    if (tap < 0) return tap;
    int error = result(ioctl(tap, TUNSETOWNER, (unsigned long)owner));
    if (error >= 0) error = start(name, mtu);
    if (error >= 0) error = result(ioctl(tap, TUNSETPERSIST, 1UL));
    close(tap);
    return error < 0 ? error : cnetwork_interface_index(name);
}

int cnetwork_tap_take(const char *name) {
    int tap = open_tap(name);
    if (tap < 0) return tap;
    int error = result(ioctl(tap, TUNSETPERSIST, 0UL));
    if (error >= 0) return tap;
    close(tap);
    return error;
}

// MARK: - Traffic control (tc(8))

/// A request of rtnetlink under construction.
struct request {
    struct nlmsghdr header;
    struct tcmsg traffic;
    char attributes[256];
};

static struct request begin(int type, int flags, int interface, uint32_t parent) {
    return (struct request){
        .header = {NLMSG_LENGTH(sizeof(struct tcmsg)), (uint16_t)type, (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags), 1, 0},
        .traffic = {.tcm_family = AF_UNSPEC, .tcm_ifindex = interface, .tcm_parent = parent},
    };
}

/// Adds an attribute; one without bytes holds those that follow, up to `end`.
static struct rtattr *add(struct request *request, unsigned type, const void *bytes, size_t count) {
    struct rtattr *attribute = (struct rtattr *)(void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
    attribute->rta_type = (uint16_t)type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(count);
    if (count) memcpy(RTA_DATA(attribute), bytes, count);
    request->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
    return attribute;
}

static void end(const struct request *request, struct rtattr *holder) {
    holder->rta_len = (uint16_t)((const char *)request + request->header.nlmsg_len - (const char *)holder);
}

static int send_request(int netlink, const struct request *request) {
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } answer;
    if (send(netlink, request, request->header.nlmsg_len, 0) < 0) return -errno;
    long count = recv(netlink, &answer, sizeof answer, 0);
    if (count < 0) return -errno;
    if ((size_t)count < NLMSG_LENGTH(sizeof answer.error) || answer.header.nlmsg_type != NLMSG_ERROR) return -EPROTO;
    return answer.error.error;
}

enum { KEY_LIMIT = 2 };
/// Filters of an interface in the order in which they are tried.
enum { INTERNET = 1, ADDRESS_RESOLUTION, EVERY };

/// Adds a filter for frames that an interface receives: those in which all keys match go out of the interface `to`, or to this host where
/// that is 0.
static int add_filter(int netlink, int interface, unsigned priority, uint16_t protocol, const struct tc_u32_key *keys, uint8_t key_count, int to) {
    char selector[sizeof(struct tc_u32_sel) + KEY_LIMIT * sizeof *keys];
    struct tc_u32_sel head = {.flags = TC_U32_TERMINAL, .nkeys = key_count};
    memcpy(selector, &head, sizeof head);
    memcpy(selector + sizeof head, keys, key_count * sizeof *keys);
    struct request request = begin(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, interface, TC_H_MAKE(TC_H_INGRESS, 0));
    request.traffic.tcm_info = TC_H_MAKE(priority << 16, htons(protocol));
    add(&request, TCA_KIND, "u32", sizeof "u32");
    struct rtattr *options = add(&request, TCA_OPTIONS, NULL, 0);
    add(&request, TCA_U32_SEL, selector, sizeof head + key_count * sizeof *keys);
    if (to) {
        struct tc_mirred mirred = {.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to};
        struct rtattr *actions = add(&request, TCA_U32_ACT, NULL, 0);
        struct rtattr *first = add(&request, 1, NULL, 0);
        add(&request, TCA_ACT_KIND, "mirred", sizeof "mirred");
        struct rtattr *parameters = add(&request, TCA_ACT_OPTIONS, NULL, 0);
        add(&request, TCA_MIRRED_PARMS, &mirred, sizeof mirred);
        end(&request, parameters), end(&request, first), end(&request, actions);
    }
    end(&request, options);
    return send_request(netlink, &request);
}

static int open_netlink(void) { return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)); }

int cnetwork_redirect(int from, int to) {
    int netlink = open_netlink();
    if (netlink < 0) return netlink;
    struct request request = begin(RTM_DELQDISC, 0, from, TC_H_INGRESS);
    send_request(netlink, &request);  // there is none, mostly
    request = begin(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, from, TC_H_INGRESS);
    request.traffic.tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0);
    add(&request, TCA_KIND, "ingress", sizeof "ingress");
    int error = send_request(netlink, &request);
    // One key, all zeros: its mask is empty, and every frame matches.
    struct tc_u32_key every = {0};
    if (error == 0) error = add_filter(netlink, from, EVERY, 3 /* ETH_P_ALL */, &every, 1, to);
    close(netlink);
    return error;
}

// MARK: - Loopback addresses

static struct sockaddr internet(uint32_t address) {
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {address}};
    struct sockaddr any;
    memcpy(&any, &in, sizeof any);
    return any;
}

static uint32_t loopback_network(void) { return htonl(INADDR_LOOPBACK & IN_CLASSA_NET); }

static int set_address(int socket, unsigned long request, const char *name, uint32_t address) {
    struct ifreq interface = {.ifr_addr = internet(address)};
    strncpy(interface.ifr_name, name, IFNAMSIZ - 1);
    return result(ioctl(socket, request, &interface));
}

/// Lets an interface take packets from loopback addresses. /proc/sys/net is that of the calling thread's namespace.
static int allow_loopback(const char *name) {
    char path[80];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/route_localnet", name);
    int file = result(open(path, O_WRONLY | O_CLOEXEC));
    if (file < 0) return file;
    int error = write(file, "1", 1) < 0 ? -errno : 0;
    close(file);
    return error;
}

static int route_loopback(const char *tap, const uint8_t guest[6], uint32_t own_address) {
    char name[IFNAMSIZ] = "";
    strncpy(name, tap, IFNAMSIZ - 1);
    struct rtentry route = {
        .rt_dst = internet(loopback_network()), .rt_genmask = internet(htonl(IN_CLASSA_NET)), .rt_flags = RTF_UP, .rt_dev = name};
    // Known for good: a busy guest may take longer to answer than this host asks.
    struct arpreq neighbour = {
        .arp_pa = internet(htonl(INADDR_LOOPBACK)), .arp_ha.sa_family = ARPHRD_ETHER, .arp_flags = ATF_PERM | ATF_COM};
    memcpy(neighbour.arp_ha.sa_data, guest, 6);
    memcpy(neighbour.arp_dev, name, sizeof name);
    int socket = open_socket();
    if (socket < 0) return socket;
    int error = set_address(socket, SIOCSIFADDR, tap, own_address);
    if (error >= 0) error = set_address(socket, SIOCSIFNETMASK, tap, 0xffffffff);
    // 127.0.0.1 is nobody's here any more.
    if (error >= 0) error = set_address(socket, SIOCSIFADDR, "lo", 0);
    if (error >= 0) error = result(ioctl(socket, SIOCADDRT, &route));
    if (error == -EEXIST) error = 0;  // by a machine of this namespace that has ended
    if (error >= 0) error = result(ioctl(socket, SIOCSARP, &neighbour));
    close(socket);
    return error;
}

int cnetwork_serve_loopback(int tap, const struct cnetwork_interface *other, const char *name, uint32_t own_address) {
    int netlink = open_netlink();
    if (netlink < 0) return netlink;
    // By their places in the headers of IPv4 and ARP.
    const uint32_t loopback = loopback_network(), network = htonl(IN_CLASSA_NET);
    const struct tc_u32_key answer[] = {{.mask = network, .val = loopback, .off = 12}, {.mask = 0xffffffff, .val = own_address, .off = 16}};
    const struct tc_u32_key question = {.mask = 0xffffffff, .val = own_address, .off = 24};
    const struct tc_u32_key intruder = {.mask = network, .val = loopback, .off = 16};
    int error = add_filter(netlink, tap, INTERNET, ETH_P_IP, answer, 2, 0);
    if (error == 0) error = add_filter(netlink, tap, ADDRESS_RESOLUTION, ETH_P_ARP, &question, 1, 0);
    // Others of the network have no way to the guest's loopback addresses: this host drops what comes for them.
    if (error == 0) error = add_filter(netlink, other->index, INTERNET, ETH_P_IP, &intruder, 1, 0);
    close(netlink);
    if (error == 0) error = allow_loopback(name);
    return error == 0 ? route_loopback(name, other->hardware_address, own_address) : error;
}
