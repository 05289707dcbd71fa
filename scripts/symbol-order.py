#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the functions that a running martlet-monitor calls, for the linker to lay side by side.

usage: symbol-order.py MONITOR GUEST-IMAGES > scripts/symbol-order.txt

The kernel maps up to sixteen pages of a program's file for each page that is touched: functions scattered over eight
megabytes cost five of memory. Once the default guest is at its prompt, every function gets a breakpoint, which is taken away
when it is hit. The list names each function at its first call.
"""

import ctypes, json, os, signal, socket, subprocess, sys, tempfile, threading

SEIZE, CONT, PEEKUSER, POKEUSER = 0x4206, 7, 3, 6  # sys/ptrace.h
TRACECLONE, WALL, RIP = 8, 0x40000000, 16 * 8

libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def trace(process, program, use):
    """Calls `use` on a thread of its own; returns what `process` called until its end."""
    with open(f"/proc/{process}/maps") as maps:
        base = min(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith(program))
    symbols = subprocess.run(["nm", "--defined-only", program], capture_output=True, text=True, check=True).stdout
    names = {}
    for address, kind, name in (line.split(maxsplit=2) for line in symbols.splitlines()):
        if kind in "tTwW":
            names.setdefault(base + int(address, 16), name)
    for thread in os.listdir(f"/proc/{process}/task"):
        libc.ptrace(SEIZE, int(thread), None, TRACECLONE)
    memory = os.open(f"/proc/{process}/mem", os.O_RDWR)
    original = {address: os.pread(memory, 1, address) for address in names}
    for address in names:
        os.pwrite(memory, b"\xcc", address)
    threading.Thread(target=use, daemon=True).start()
    called = {}
    while True:
        thread, status = os.waitpid(-1, WALL)
        if not os.WIFSTOPPED(status):
            if thread == process:
                return [names[address] for address in called]
            continue
        number, address = os.WSTOPSIG(status), libc.ptrace(PEEKUSER, thread, RIP, None) % 2**64 - 1
        if number == signal.SIGTRAP and status >> 16 == 0 and address in names:
            os.pwrite(memory, original[address], address)
            called.setdefault(address)
            libc.ptrace(POKEUSER, thread, RIP, address)
        libc.ptrace(CONT, thread, None, 0 if number == signal.SIGTRAP else number)


def main(monitor, images):
    monitor = os.path.realpath(monitor)
    with tempfile.TemporaryDirectory() as folder:
        disk, api = f"{folder}/root.ext4", f"{folder}/api"
        subprocess.run(["cp", "--sparse=always", f"{images}/root.ext4", disk], check=True)
        arguments = " ".join(open(f"{images}/cmdline{kind}").read().strip() for kind in ("", "-interpreting"))
        machine = {
            "boot-source": {"kernel_image_path": os.path.realpath(f"{images}/vmlinux"), "boot_args": arguments},
            "drives": [{"drive_id": "root", "path_on_host": disk, "is_root_device": True, "is_read_only": False}],
            "machine-config": {"vcpu_count": 1, "mem_size_mib": 128},
        }
        with open(f"{folder}/machine.json", "w") as file:
            json.dump(machine, file)
        command = [monitor, "--api-sock", api, "--config-file", file.name]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def wait(text):
            seen = b""
            while text not in seen:
                seen = (seen + os.read(process.stdout.fileno(), 4096))[-4096:]

        def use():
            for _ in range(3):
                process.stdin.write(b"dd if=/dev/vda of=/dev/null bs=64k count=64; echo x >/f; sync; echo do''ne\n")
                process.stdin.flush()
                wait(b"done")
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(api)
                    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    client.recv(4096)
            process.send_signal(signal.SIGKILL)

        wait(b"martlet:~# ")
        print("\n".join(trace(process.pid, monitor, use)))


main(*sys.argv[1:])
