#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the start of a machine, and its exits, with and without a sandbox: medians of rounds in turns.

usage: Benchmarks/sandbox/sandbox.py MONITOR [ROUNDS]

MONITOR is martlet-monitor. The start goes from the start of the process to the first byte that its guest writes to the serial
port, which is its third instruction. An exit is a write to a port of the UART: the processor time of a process whose guest
makes 50,000 of them, less that of one whose guest makes none. Needs clang for these guests.
"""

import json, os, statistics, subprocess, sys, tempfile, time

GUEST = """
.globl _start
_start:
    movw $0x3f8, %dx
    movb $'x', %al
    outb %al, %dx
    movl $COUNT, %ecx
    movw $0x3ff, %dx
    jrcxz 2f
3:  outb %al, %dx
    loop 3b
2:  movb $0xfe, %al
    outb %al, $0x64
1:  hlt
    jmp 1b
"""


EXITS = 50_000


def sample(command):
    """Returns the time to the first byte in ms, and the processor time in us."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    byte = process.stdout.read(1)
    end = time.monotonic()
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    process.stdout.close()
    if byte != b"x":
        sys.exit("the guest did not start: " + " ".join(command))
    return (end - begin) * 1e3, (usage.ru_utime + usage.ru_stime) * 1e6


def median(values):
    return statistics.median(values)


def main(monitor, rounds="51"):
    with tempfile.TemporaryDirectory() as folder:
        for count in (0, EXITS):
            with open(f"{folder}/guest.s", "w") as source:
                source.write(GUEST.replace("COUNT", str(count)))
            guest = ["clang", "-nostdlib", "-static", "-Wl,-Ttext=0x100000", "-o", f"{folder}/{count}", f"{folder}/guest.s"]
            subprocess.run(guest, check=True)
            with open(f"{folder}/{count}.json", "w") as file:
                size = {"vcpu_count": 1, "mem_size_mib": 64}
                json.dump({"boot-source": {"kernel_image_path": f"{folder}/{count}"}, "drives": [], "machine-config": size}, file)
        starts, exits = {"on": [], "off": []}, {"on": [], "off": []}
        for round in range(int(rounds) + 1):
            for mode in starts:
                command = [monitor, "--no-api", "--sandbox", mode, "--config-file"]
                start, least = sample(command + [f"{folder}/0.json"])
                _, most = sample(command + [f"{folder}/{EXITS}.json"])
                # The first round fills the page cache.
                if round > 0:
                    starts[mode].append(start)
                    exits[mode].append((most - least) / EXITS)
        for name, unit, samples in (("start", "ms", starts), ("exit", "us", exits)):
            for mode, times in samples.items():
                print(f"{name}, sandbox {mode}: {median(times):.3f} {unit} ({min(times):.3f} to {max(times):.3f})")
            pairs = list(zip(samples["on"], samples["off"]))
            print(f"{name}: {median([on - off for on, off in pairs]):+.3f} {unit}, {median([on / off for on, off in pairs]):.3f}x")


main(*sys.argv[1:])
