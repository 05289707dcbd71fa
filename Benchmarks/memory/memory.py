#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the memory of a monitor beside its guest's, as Firecracker's tests measure it, in MiB.

usage: unshare -n Benchmarks/memory/memory.py PROGRAM KERNEL ROOT [--mmds] [--maps]

PROGRAM is a copy of martlet-monitor under the name firecracker, or Firecracker itself. The number is the sum of Rss over all
mappings of /proc/PID/smaps but those as large as the guest's memory: shared pages and the program's text count. The machine has
one vCPU, 256 MiB, a disk, a network and a vsock, and with --mmds metadata on the network. Root makes the network's TAP in a
namespace of its own.
"""

import json, os, re, signal, socket, subprocess, sys, tempfile, threading, time

MEMORY = 256 << 20


def mappings(process):
    """Yields the size, Rss and name of each mapping, in bytes."""
    with open(f"/proc/{process}/smaps") as text:
        for line in text:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            if head:
                size = int(head[2], 16) - int(head[1], 16)
                name = f"{head[3]} {head[4]}"
            elif line.startswith("Rss:"):
                yield size, int(line.split()[1]) << 10, name


def beside_guest(process, guest=MEMORY):
    """The mappings of a process, as (size, resident bytes, name), but those as large as its guest's memory."""
    return [entry for entry in mappings(process) if entry[0] != guest]


def request(path, method, target, body):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        text = json.dumps(body).encode()
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
        answer = connection.recv(65536)
        if b" 204 " not in answer.split(b"\r\n")[0]:
            sys.exit(f"{target}: {answer.decode()}")


def main():
    program, kernel, root = (os.path.abspath(path) for path in sys.argv[1:4])
    subprocess.run(["ip", "tuntap", "add", "memory0", "mode", "tap"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        api, disk = f"{folder}/api", f"{folder}/disk"
        subprocess.run(["cp", "--sparse=always", root, disk], check=True)
        process = subprocess.Popen(
            [program, "--api-sock", api], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not os.path.exists(api):
                time.sleep(0.01)
            request(api, "PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": MEMORY >> 20})
            request(api, "PUT", "/boot-source", {"kernel_image_path": kernel, "boot_args": "console=ttyS0 reboot=k panic=1"})
            request(api, "PUT", "/drives/root", {"drive_id": "root", "path_on_host": disk, "is_root_device": True, "is_read_only": False})
            request(api, "PUT", "/network-interfaces/net", {"iface_id": "net", "host_dev_name": "memory0"})
            request(api, "PUT", "/vsock", {"guest_cid": 3, "uds_path": f"{folder}/vsock"})
            if "--mmds" in sys.argv:
                request(api, "PUT", "/mmds/config", {"network_interfaces": ["net"], "version": "V2"})
                request(api, "PUT", "/mmds", {"latest": {"meta-data": {"ami-id": "ami-12345678"}}})
            show("configured", process.pid)
            start = threading.Thread(target=request, args=(api, "PUT", "/actions", {"action_type": "InstanceStart"}))
            start.start()
            peak, samples, end = 0, 0, time.monotonic() + 1
            while start.is_alive() or time.monotonic() < end:
                peak = max(peak, sum(rss for _, rss, _ in beside_guest(process.pid)))
                samples += 1
            print(f"at most, in {samples} looks while it starts: {peak / (1 << 20):.2f} MiB", flush=True)
            for pause, sum_of_pauses in ((0, 1), (5, 6), (20, 26)):
                time.sleep(pause)
                show(f"running for {sum_of_pauses} s", process.pid)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def show(moment, process):
    entries = beside_guest(process)
    print(f"{moment}: {sum(rss for _, rss, _ in entries) / (1 << 20):.2f} MiB", flush=True)
    if "--maps" in sys.argv:
        for size, rss, name in sorted(entries, key=lambda entry: -entry[1])[:25]:
            print(f"    {rss >> 10:6} KiB of {size >> 10:8} {name}")


if __name__ == "__main__":
    main()
