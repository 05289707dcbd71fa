#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Saves a machine at random moments, kills it, and goes on from the snapshot; then kills it while it is being saved.

usage: torture-snapshots.py MARTLET [SAVES [KILLS [SEED]]]

The guest is the default one. It counts on its console, and appends every tenth number to a file that it synchronises before it
says so. What has to hold: the console goes on in every machine where the saved one stood, number by number; what the guest has said to
be on its disk is there; the disk's file system is whole; and a save that is killed leaves the old snapshot or the new one.
"""

import os, random, re, shutil, signal, subprocess, sys, tempfile, time

COUNT = """i=0; while :; do i=$((i+1)); echo "n $i"; case $i in *0) echo $i >>/root/kept; sync; echo "kept $i";; esac; done"""


class Torture:
    def __init__(self, martlet, folder, seed):
        self.martlet, self.folder, self.random = os.path.realpath(martlet), folder, random.Random(seed)
        self.snapshot = f"{folder}/snapshot"
        os.mkdir(f"{folder}/machines", 0o700)
        self.environment = dict(os.environ, MARTLET_RUNTIME_DIR=f"{folder}/machines")

    def run(self, *arguments, check=True):
        result = subprocess.run([self.martlet, *arguments], env=self.environment, capture_output=True, timeout=600)
        if check and result.returncode != 0:
            raise SystemExit(f"torture: martlet {' '.join(arguments)} ended with {result.returncode}: {result.stderr.decode()}")
        return result

    def monitor(self):
        """The process of the machine, by the socket that it holds."""
        text = self.run("ps", "--json").stdout.decode()
        return int(re.search(r'"pid": *(\d+)', text)[1])

    def console(self):
        """The last of what the guest had sent when it was saved."""
        with open(f"{self.snapshot}/state", "rb") as file:
            state = file.read()
        line, _, rest = state.partition(b"\n")
        return rest[int(re.search(rb" bytes=(\d+)", line)[1]):].decode()

    def check(self, last):
        """Looks whether the console counts without a gap, and on from `last`; returns the last number and the last kept one."""
        lines = self.console().replace("\r\n", "\n").split("\n")[1:-1]
        # What came before it began to count.
        while lines and not lines[0].startswith(("n ", "kept ")):
            del lines[0]
        numbers = [line.split(" ") for line in lines]
        counted = [int(number[1]) for number in numbers if number[0] == "n"]
        if counted != list(range(counted[0], counted[0] + len(counted))) or counted[0] > max(last, 1) + 1 or counted[-1] < last:
            raise SystemExit(f"torture: the console does not count from {last}: {counted[:3]} to {counted[-3:]}")
        if any(word[0] not in ("n", "kept") for word in numbers):
            raise SystemExit(f"torture: the console has other lines: {numbers}")
        kept = [int(number[1]) for number in numbers if number[0] == "kept"]
        return counted[-1], kept[-1] if kept else 0

    def check_disk(self, kept):
        """Looks whether the file system of the disk is whole and has what the guest has said to be there."""
        disk = f"{self.folder}/disk"
        name = os.listdir(f"{self.snapshot}/disks")[0]
        subprocess.run(["cp", "--sparse=always", f"{self.snapshot}/disks/{name}", disk], check=True)
        subprocess.run(["e2fsck", "-p", disk], capture_output=True)
        if subprocess.run(["e2fsck", "-fn", disk], capture_output=True).returncode != 0:
            raise SystemExit("torture: the file system is damaged")
        records = subprocess.run(["debugfs", "-R", "cat /root/kept", disk], capture_output=True).stdout.split()
        # Behind them is what the guest has not synchronised yet.
        if records[: kept // 10] != [str(number).encode() for number in range(10, kept + 1, 10)]:
            raise SystemExit(f"torture: {kept} is not on the disk: {records[-3:]}")

    def restore(self):
        self.run("run", "--restore", self.snapshot, "--same-identity", "--name", "torture", "--detach")

    def kill(self):
        process = self.monitor()
        os.kill(process, signal.SIGKILL)
        # Not a child of this process: its folder says when it is gone.
        self.run("rm", "--force", "torture")

    def start(self):
        self.run("run", "--boot", "--name", "torture", "--detach")
        deadline = time.monotonic() + 600
        while b"~# " not in self.run("logs", "torture").stdout:
            if time.monotonic() > deadline:
                raise SystemExit("torture: the guest does not boot")
            time.sleep(1)
        self.run("exec", "torture", "sh", "-c", f"setsid sh -c '{COUNT}' >/dev/console 2>&1 &")
        time.sleep(5)

    def save_rounds(self, count):
        last, kept = 0, 0
        for number in range(count):
            time.sleep(self.random.uniform(0.05, 0.5))
            self.run("snapshot", "save", "torture", self.snapshot, "--replace")
            time.sleep(self.random.uniform(0, 0.2))
            self.kill()
            last, kept = self.check(last)
            if number % 20 == 19:
                self.check_disk(kept)
                print(f"torture: {number + 1} saves: {last} numbers, {kept} on the disk", flush=True)
            self.restore()
        return last

    def kill_rounds(self, count, last):
        news = 0
        for number in range(count):
            before = os.stat(f"{self.snapshot}/state").st_ino
            save = subprocess.Popen(
                [self.martlet, "snapshot", "save", "torture", self.snapshot, "--replace"],
                env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            time.sleep(self.random.uniform(0, 0.8))
            self.kill()
            save.wait()
            self.run("snapshot", "verify", self.snapshot)
            last, kept = self.check(last)
            news += os.stat(f"{self.snapshot}/state").st_ino != before
            if number % 20 == 19:
                self.check_disk(kept)
                print(f"torture: {number + 1} killed saves: {news} left the new snapshot", flush=True)
            self.restore()
        self.kill()
        self.run("run", "--restore", self.snapshot, "--name", "torture", "--detach")
        self.run("snapshot", "save", "torture", self.snapshot, "--replace", "--stop")
        left = [name for name in os.listdir(self.folder) if "partial" in name]
        if left:
            raise SystemExit(f"torture: {left} is left")


def main(martlet, saves="200", kills="100", seed=None):
    seed = int(seed) if seed else random.randrange(1 << 32)
    print(f"torture: seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        torture = Torture(martlet, folder, seed)
        try:
            torture.start()
            last = torture.save_rounds(int(saves))
            torture.kill_rounds(int(kills), last)
        finally:
            torture.run("rm", "--force", "--all", check=False)
    print("torture: all held")


main(*sys.argv[1:])
