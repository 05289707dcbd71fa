#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what a guest's use of its devices costs with and without a sandbox: processor time, medians of rounds in turns.

usage: unshare -n Benchmarks/sandbox/devices.py MARTLET [ROUNDS [OPERATIONS]]

The guest is that of `make torture` with one seed for all rounds: ports, registers, and chains of buffers for the devices. What a
machine takes for no operation is subtracted. Root makes the network's TAP in a namespace of its own. Needs gcc.
"""

import os, statistics, subprocess, sys, tempfile

SEED = 20261130


def processor_time(command):
    """Runs a command to its end, and returns the processor time that it took, in s."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    messages = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    process.stderr.close()
    if status != 0:
        sys.exit(f"{' '.join(command)}: {messages.decode()}")
    return usage.ru_utime + usage.ru_stime


def main():
    martlet = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    operations = int(sys.argv[3]) if len(sys.argv) > 3 else 300_000
    here = os.path.dirname(os.path.realpath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        guest, disk = f"{folder}/guest", f"{folder}/disk"
        subprocess.run([f"{here}/../../scripts/hostile-guest.sh", guest], check=True)
        with open(disk, "w") as file:
            file.truncate(1 << 30)
        subprocess.run(["ip", "tuntap", "add", "sandbox", "mode", "tap"], check=True)
        subprocess.run(["ip", "link", "set", "sandbox", "up"], check=True)
        devices = {
            "none but the machine's own": ["--no-entropy"],
            "a disk by io_uring": ["--disk", f"{disk},engine=io_uring"],
            "a disk by threads": ["--disk", f"{disk},engine=threads"],
            "a network": ["--net=tap:sandbox"],
        }
        for name, options in devices.items():
            command = [martlet, "run", guest, "--memory", "256M", "--exit-status-port", "--console", "none", *options]
            times = {"on": [], "off": []}
            for _ in range(rounds):
                for mode in times:
                    run = [*command, "--sandbox", mode, "--cmdline-only"]
                    busy, idle = (processor_time([*run, f"seed={SEED} ops={count} cpus=1"]) for count in (operations, 0))
                    times[mode].append((busy - idle) / operations * 1e6)
            ratio = statistics.median(on / off for on, off in zip(times["on"], times["off"]))
            on, off = statistics.median(times["on"]), statistics.median(times["off"])
            print(f"{name}: {on:.2f} us an operation with, {off:.2f} without, {ratio:.3f}x", flush=True)


main()
