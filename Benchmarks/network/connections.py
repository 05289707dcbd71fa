#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds a thousand connections to one guest at once: over vsock, and over TCP through a TAP or through passt.

usage: unshare -n Benchmarks/network/connections.py [COUNT [KIND...]]

KIND is vsock, tap or passt; the first two without it. Each connection sends a line of its own and gets it back, all at once, in three
rounds; then all are closed. Through passt, a hundred at a time have something to send: it ends a connection whose guest acknowledges
nothing for 16 seconds, and a guest whose kernel is interpreted takes longer for a thousand, and on a busy
host for these. The table says how many failed, how long the slowest took, and the memory of the monitor beside its guest's as
Benchmarks/memory/memory.py counts it. Root makes the interfaces in a network namespace of its own. `make build
guest-images-all` comes before; MARTLET names another command.
"""

import os, re, resource, select, socket, subprocess, sys, tempfile, time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{SOURCE}/Benchmarks/memory")
from memory import beside_guest
MARTLET = os.environ.get("MARTLET", f"{SOURCE}/.build/release/martlet")
IMAGES = f"{SOURCE}/guest-images/build"
MEMORY = 128 << 20
PATIENCE = 600


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def memory(process):
    """Returns the resident memory of a process beside its guest's, in MiB, and its number of descriptors."""
    resident = sum(rss for _, rss, _ in beside_guest(process, MEMORY))
    return resident / (1 << 20), len(os.listdir(f"/proc/{process}/fd"))


class Connection:
    """One connection: what is still to be sent, what is expected, and the time at which it was there."""

    def __init__(self, family, address, hello=b""):
        self.socket = socket.socket(family)
        self.socket.setblocking(False)
        self.unsent, self.received, self.failure = hello, b"", None
        error = self.socket.connect_ex(address)
        if error not in (0, 115, 11):
            self.failure = os.strerror(error)

    def begin(self, text):
        self.unsent, self.received = text, b""

    def turn(self, is_readable, is_writable):
        try:
            if is_writable and self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
            if is_readable:
                got = self.socket.recv(4096)
                if not got:
                    raise ConnectionError("closed")
                self.received += got
        except BlockingIOError:
            pass
        except OSError as error:
            self.failure = str(error)


def serve(connections, is_done):
    """Moves bytes until each connection is done or has failed; returns the time of the slowest."""
    start, waiting, poll = time.monotonic(), {}, select.poll()
    for one in connections:
        if not one.failure:
            waiting[one.socket.fileno()] = one
            poll.register(one.socket, select.POLLIN | select.POLLOUT)
    last = start
    while waiting and time.monotonic() < start + PATIENCE:
        for number, events in poll.poll(1000):
            one = waiting[number]
            one.turn(events & (select.POLLIN | select.POLLHUP | select.POLLERR), events & select.POLLOUT)
            if one.failure or is_done(one):
                poll.unregister(number)
                del waiting[number]
                last = time.monotonic()
            elif not one.unsent:
                poll.modify(number, select.POLLIN)
    for one in waiting.values():
        one.failure = "no answer in time"
    return last - start


def measure(kind, count, monitor, open_one, greeting):
    before = memory(monitor)
    connections = []
    start = time.monotonic()
    # Not all at a time: passt waits ten seconds for its guest to take a connection.
    for first in range(0, count, 50):
        batch = [open_one() for _ in range(min(50, count - first))]
        serve(batch, lambda one: one.received.endswith(b"\n"))
        connections += batch
    opened = time.monotonic() - start
    for one in connections:
        if not one.failure and not one.received.startswith(greeting):
            one.failure = f"greeted by {one.received}"
    rounds = []
    for turn in range(3):
        for number, one in enumerate(connections):
            one.begin(f"{kind} {turn} {number}\n".encode())
            one.expected = one.unsent
        step = 100 if kind == "passt" else count
        parts = [connections[first : first + step] for first in range(0, count, step)]
        rounds.append(sum(serve(part, lambda one: one.received == one.expected) for part in parts))
    during = memory(monitor)
    failures = [one.failure for one in connections if one.failure]
    for one in connections:
        one.socket.close()
    # The guest closes each of its own.
    start = time.monotonic()
    while memory(monitor)[1] > before[1] and time.monotonic() < start + PATIENCE:
        time.sleep(1)
    after, closed = memory(monitor), time.monotonic() - start
    print(
        f"{kind:6} {count - len(failures)} of {count} connections; open in {opened:.1f} s; a line on each and back in "
        f"{', '.join(f'{seconds:.1f}' for seconds in rounds)} s; closed in {closed:.0f} s; monitor {before[0]:.1f}, {during[0]:.1f}, {after[0]:.1f} MiB, "
        f"{before[1]}, {during[1]}, {after[1]} descriptors before, during and after",
        flush=True,
    )
    if failures:
        print(f"       {failures[0]}", flush=True)
    return not failures and after[1] <= before[1]


def main():
    count, kinds = int((sys.argv[1:] or ["1000"])[0]), sys.argv[2:] or ["vsock", "tap"]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    is_good = True
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.environ.update(MARTLET_RUNTIME_DIR=f"{folder}/machines", MARTLET_GUEST_IMAGES=IMAGES)
        os.mkdir(f"{folder}/machines", 0o700)
        run("ip", "link", "set", "lo", "up")
        networks = []
        if "tap" in kinds:
            run("ip", "tuntap", "add", "tap0", "mode", "tap")
            run("ip", "addr", "add", "10.88.0.1/24", "dev", "tap0")
            run("ip", "link", "set", "tap0", "up")
            networks.append("--net=tap:tap0,address=10.88.0.2/24")
        if "passt" in kinds:
            # passt looks for a default route.
            run("ip", "link", "add", "world", "type", "veth", "peer", "name", "other")
            run("ip", "link", "set", "other", "up")
            run("ip", "addr", "add", "10.77.0.1/24", "dev", "world")
            run("ip", "link", "set", "world", "up")
            run("ip", "route", "add", "default", "via", "10.77.0.2")
            networks.append("--net=user")
            networks += ["-p", "127.0.0.1:9700:7000"]
        testing = [f"{IMAGES}/vmlinux", "--disk", f"{IMAGES}/testing.ext4,readonly", "--memory", f"{MEMORY >> 20}M"]
        run(MARTLET, "run", "--name", "many", "--detach", *networks, *testing, "--cmdline", "quiet martlet.shell=off")
        try:
            monitor = re.search(r'"pid": *(\d+)', run(MARTLET, "inspect", "many"))[1]
            run(MARTLET, "exec", "many", "sh", "-c", "nettool echo 7000 >/run/v 2>&1 & nettool echo 7000 tcp >/run/t 2>&1 &")
            for name in "vt":
                while "listening" not in run(MARTLET, "exec", "many", "cat", f"/run/{name}"):
                    time.sleep(0.5)
            vsock = f"{folder}/machines/many/vsock.sock"
            ways = {
                "vsock": (lambda: Connection(socket.AF_UNIX, vsock, b"CONNECT 7000\n"), b"OK "),
                "tap": (lambda: Connection(socket.AF_INET, ("10.88.0.2", 7000), b"hello\n"), b"hello\n"),
                "passt": (lambda: Connection(socket.AF_INET, ("127.0.0.1", 9700), b"hello\n"), b"hello\n"),
            }
            for kind in kinds:
                if kind != "vsock":
                    # A guest that is slow, as where KVM interprets its kernel, gets an answer to its ARP request behind a hundred
                    # connections, and gives up on all of them before.
                    first = ways[kind][0]()
                    serve([first], lambda one: True)
                    keep = "tail -n +2 /proc/net/arp | while read ip kind flags mac rest; do arp -s $ip $mac; done"
                    run(MARTLET, "exec", "many", "sh", "-c", keep)
                    first.socket.close()
                is_good = measure(kind, count, monitor, *ways[kind]) and is_good
            print(run(MARTLET, "exec", "many", "cat", "/run/v", "/run/t").replace("listening\n", ""), end="")
        finally:
            subprocess.run([MARTLET, "rm", "--force", "many"], capture_output=True)
    sys.exit(not is_good)


main()
