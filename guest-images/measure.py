#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots a guest and prints how many of its instructions KVM interpreted up to the shell's prompt.

For hosts without hardware virtualisation, where this number says what wall time cannot: it hardly depends on what else runs.
Timer ticks do, so they are counted in the guest and taken off.

    guest-images/measure.py                            the default guest, three times
    guest-images/measure.py --restored                 the same from its ready snapshot, which is made first; ticks stay in
    guest-images/measure.py --runs 1 -- VMLINUX --disk default --cmdline "quiet i8042.noaux rodata=off highres=off"
"""

import argparse
import os
import re
import selectors
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT = b"martlet:~# "
TICK = 1500  # instructions for each tick; README.md
MAX_VCPUS = 64


def read_until(process, end, seconds):
    """Returns what the guest prints up to `end`; ends the measurement if that does not come in time."""
    output, deadline = b"", time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while end not in output:
            if not selector.select(max(0, deadline - time.monotonic())):
                sys.exit(f"measure: no {end!r} within {seconds} s after: {output[-500:].decode(errors='replace')}")
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                sys.exit(f"measure: the machine ended: {output[-500:].decode(errors='replace')}")
            output += data
    return output


def start(options, library, folder):
    """Starts a guest once; returns seconds, instructions and ticks since its boot up to the prompt."""
    path = os.path.join(folder, "counts")
    with open(path, "wb") as file:
        file.write(bytes(8 * MAX_VCPUS))
    environment = {"MARTLET_GUEST_IMAGES": os.path.join(HERE, "build"), **os.environ, "LD_PRELOAD": library, "MEASURE_FILE": path}
    if options.restored:
        environment["XDG_CACHE_HOME"] = folder
    started = time.monotonic()
    # The sandbox does not allow the calls that read the statistic.
    process = subprocess.Popen(
        [options.martlet, "run", *([] if options.restored else ["--boot"]), "--sandbox", "off", *options.arguments],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
    )
    try:
        read_until(process, PROMPT, options.timeout)
        seconds = time.monotonic() - started
        with open(path, "rb") as file:
            instructions = sum(struct.unpack(f"{MAX_VCPUS}Q", file.read()))
        process.stdin.write(b"grep LOC: /proc/interrupts\n")
        # The first prompt of this part ends the line that was typed.
        answer = read_until(process, PROMPT, options.timeout)
        ticks = sum(map(int, re.search(rb"LOC:((?: +\d+)+)", answer)[1].split()))
    finally:
        process.kill()
        process.wait()
    return seconds, instructions, ticks


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", default=os.path.join(HERE, "../.build/debug/martlet"),
                        help="a martlet that is linked dynamically, as debug builds are")
    parser.add_argument("--restored", action="store_true", help="go on from a ready snapshot instead of booting")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=300, help="seconds to wait for each prompt")
    parser.add_argument("arguments", nargs="*", help="arguments of `martlet run`, after --")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "measure.so")
        subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "measure.c")], check=True)
        rests = []
        if options.restored:
            start(options, library, folder)
        for _ in range(options.runs):
            seconds, instructions, ticks = start(options, library, folder)
            if instructions == 0:
                sys.exit("measure: nothing was counted: is this martlet linked statically, or this host one that interprets nothing?")
            rests.append(instructions - (0 if options.restored else TICK * ticks))
            print(f"{seconds:6.1f} s  {instructions / 1e6:6.2f} M instructions  {ticks:4} ticks  {rests[-1] / 1e6:6.2f} M{'' if options.restored else ' without ticks'}",
                  flush=True)
        print(f"median {statistics.median(rests) / 1e6:.2f} M{'' if options.restored else ' without ticks'}")


if __name__ == "__main__":
    main()
