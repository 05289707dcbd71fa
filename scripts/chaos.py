#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs machines on a file system that is often full, while commands and monitors are killed at random.

usage: chaos.py MARTLET [SECONDS [MACHINES [SEED]]]

The guests are Tests/Torture/hostile-guest.c. What has to hold: every command ends, by itself and not by a fault; no process that
is not a machine's is ever signalled, though strangers take the process ids of killed monitors; and in the end every machine can be
removed and nothing of any is left: no process, no file.
"""

import collections, json, os, random, shutil, signal, subprocess, sys, tempfile, threading, time

# Beyond this a command hangs. The host is busy: 30 guests that never rest.
LIMIT = 60


class Chaos:
    def __init__(self, martlet, folder, machines, seed):
        self.martlet, self.folder, self.seed = martlet, folder, seed
        self.names = [f"m{number}" for number in range(machines)]
        self.failures, self.counts, self.slowest = [], collections.Counter(), (0, "")
        self.lock, self.ends = threading.Lock(), threading.Event()
        self.strangers = []
        for name in ("run", "tmp", "home", "snapshots"):
            os.mkdir(f"{folder}/{name}", 0o700)
        self.runtime = f"{folder}/run"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M,mode=700", "chaos", self.runtime], check=True)
        self.environment = {"PATH": os.environ["PATH"], "HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp"}
        self.environment["XDG_RUNTIME_DIR"] = self.runtime
        self.guest = f"{folder}/guest"
        subprocess.run([os.path.join(os.path.dirname(__file__), "hostile-guest.sh"), self.guest], check=True)

    def fail(self, text):
        with self.lock:
            self.failures.append(text)
        self.ends.set()

    def run(self, *arguments, ending=None, after=0.0):
        """Runs a command, which gets the signal `ending` after some seconds where it is given."""
        begun = time.monotonic()
        with tempfile.TemporaryFile(dir=f"{self.folder}/home") as output:
            command = subprocess.Popen(
                [self.martlet, *arguments], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            if ending is not None:
                try:
                    command.wait(after)
                except subprocess.TimeoutExpired:
                    command.send_signal(ending)
            try:
                status = command.wait(LIMIT)
            except subprocess.TimeoutExpired:
                command.kill()
                command.wait()
                self.fail(f"martlet {' '.join(arguments)} hangs")
                return None, ""
            output.seek(0)
            text = output.read(1 << 20).decode(errors="replace")
        spent = time.monotonic() - begun
        with self.lock:
            self.counts[arguments[0], "ended" if ending is not None else status] += 1
            if ending is None and "wait" not in arguments and spent > self.slowest[0]:
                self.slowest = (spent, " ".join(arguments))
        if (status < 0 and (ending is None or status != -ending)) or "Fatal error" in text:
            self.fail(f"martlet {' '.join(arguments)} ended with {status}: {text[-500:]}")
        return status, text

    def start(self, chance, name):
        operations = chance.choice([2000, 100_000, 1_000_000_000])
        parameters = f"seed={chance.randrange(1 << 30)} ops={operations} cpus=1"
        ending = chance.choice([None, None, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
        options = chance.choice([["--detach"], ["--detach", "--rm"], []])
        if not options and ending is None:
            ending = signal.SIGINT
        self.run("run", self.guest, "--name", name, "--memory", "32M", "--exit-status-port", *options, "--cmdline-only", parameters,
                 ending=ending, after=chance.uniform(0, 1.5))

    def restore(self, chance, name):
        folder = self.snapshot(chance)
        ending = chance.choice([None, signal.SIGKILL])
        self.run("run", "--restore", folder, "--name", name, "--detach", ending=ending, after=chance.uniform(0, 0.2))

    def snapshot(self, chance):
        return f"{self.folder}/snapshots/{chance.randrange(3)}"

    def save(self, chance, name):
        self.run("snapshot", "save", name, self.snapshot(chance), "--replace", ending=chance.choice([None, signal.SIGKILL]),
                 after=chance.uniform(0, 0.3))

    def kill_monitor(self, chance, name):
        """Ends a monitor, and lets a stranger take its process id."""
        status, text = self.run("ps", "--json")
        if status != 0:
            return
        process = {entry["name"]: entry.get("pid") for entry in json.loads(text)}.get(name)
        if not process:
            return
        try:
            # Between the answer and now it may have ended, and a stranger of this script may be there.
            if "martlet" not in os.readlink(f"/proc/{process}/exe"):
                return
            os.kill(process, signal.SIGKILL)
        except OSError:
            return
        with self.lock:
            for _ in range(50):
                with open("/proc/sys/kernel/ns_last_pid", "w") as file:
                    file.write(str(process - 1))
                stranger = subprocess.Popen(["sleep", "86400"])
                if stranger.pid == process:
                    break
                # The monitor is not quite gone, or another thread took the number.
                stranger.kill()
                stranger.wait()
                time.sleep(0.01)
            else:
                return
            self.counts["stranger", "took a monitor's id"] += 1
            self.strangers.append(stranger)

    def fill(self, chance, _):
        """Leaves the runtime folder without room for a while."""
        path = f"{self.runtime}/filler-{threading.get_ident()}"
        try:
            with open(path, "wb", buffering=0) as file:
                while file.write(bytes(64 << 10)):
                    pass
        except OSError:
            pass
        self.ends.wait(chance.uniform(0, 3))
        os.unlink(path)

    def work(self, seed):
        chance = random.Random(seed)
        simple = lambda *words: lambda chance, name: self.run(*[name if word is None else word for word in words])
        killed = lambda *words: lambda chance, name: self.run(
            *[name if word is None else word for word in words],
            ending=chance.choice([signal.SIGKILL, signal.SIGTERM]), after=chance.uniform(0, 1))
        actions = [
            (10, self.start), (3, self.restore), (3, self.save), (4, self.kill_monitor), (3, self.fill),
            (2, simple("ps", "--all")), (1, simple("inspect", None)), (1, simple("logs", None)), (1, simple("logs", "--monitor", None)),
            (2, simple("stats", None)), (2, simple("pause", None)), (2, simple("resume", None)), (2, simple("stop", "-t", "1", None)),
            (2, simple("kill", None)), (2, simple("rm", None)), (1, simple("rm", "--force", None)), (1, simple("rm", "--all")),
            (1, killed("wait", None)), (1, killed("attach", None)), (1, killed("stop", None)), (1, killed("rm", "--force", None)),
            (1, killed("clone", None, "c0")), (1, simple("rm", "--force", "c0")),
        ]
        while not self.ends.is_set():
            action = chance.choices([action for _, action in actions], [weight for weight, _ in actions])[0]
            try:
                action(chance, chance.choice(self.names))
            except Exception as error:
                self.fail(f"{error!r}")

    def monitors(self):
        found = []
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and "martlet" in os.path.basename(os.readlink(f"/proc/{entry}/exe")):
                    found.append(entry)
            except OSError:
                pass
        return found

    def finish(self):
        for name in os.listdir(self.runtime):
            if name.startswith("filler-"):
                os.unlink(f"{self.runtime}/{name}")
        # A clone removes what killed ones have left: docs/snapshots.md.
        self.run("rm", "--force", "c0")
        self.run("run", self.guest, "--name", "c0", "--memory", "32M", "--detach", "--cmdline-only", "seed=1 ops=1000000000 cpus=1")
        self.run("clone", "c0", "c1")
        for name in [*self.names, "c0", "c1"]:
            status, text = self.run("rm", "--force", name)
            if status != 0 and "there is no machine" not in text:
                self.fail(f"rm --force {name} ended with {status}: {text}")
        status, text = self.run("ps", "--all", "--json")
        if status != 0 or json.loads(text) != []:
            self.fail(f"ps ended with {status}: {text}")
        end = time.monotonic() + LIMIT
        while self.monitors() and time.monotonic() < end:
            time.sleep(0.1)
        for process in self.monitors():
            with open(f"/proc/{process}/cmdline") as file:
                self.fail(f"a process is left: {process} {file.read()}")
        for folder in (f"{self.runtime}/martlet", f"{self.folder}/tmp"):
            left = [os.path.join(path, file) for path, folders, files in os.walk(folder) for file in folders + files]
            if left:
                self.fail(f"files are left: {left}")
        for stranger in self.strangers:
            if stranger.poll() is not None:
                self.fail(f"a stranger's process ended with {stranger.returncode}")
            stranger.kill()
            stranger.wait()


def main():
    if os.environ.pop("MARTLET_CHAOS", "") != "inside":
        # Process ids, mounts and a network of its own; bash is the process 1 that takes up the orphans.
        os.environ["MARTLET_CHAOS"] = "inside"
        os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child",
                              "bash", "-c", '"$@"; exit $?', "bash", sys.executable, *sys.argv])
    if not 2 <= len(sys.argv) <= 5:
        raise SystemExit(__doc__)
    numbers = [int(word) for word in sys.argv[2:]]
    seconds, machines, seed = numbers + [300, 30, int(time.time())][len(numbers):]
    folder = tempfile.mkdtemp()
    chaos = Chaos(os.path.realpath(sys.argv[1]), folder, machines, seed)
    try:
        workers = [threading.Thread(target=chaos.work, args=(seed + number,)) for number in range(6)]
        for worker in workers:
            worker.start()
        chaos.ends.wait(seconds)
        chaos.ends.set()
        for worker in workers:
            worker.join()
        chaos.finish()
    finally:
        subprocess.run(["umount", "--lazy", chaos.runtime])
        shutil.rmtree(folder, ignore_errors=True)
    for (command, status), count in sorted(chaos.counts.items(), key=str):
        print(f"chaos: {count:5} x {command}: {status}")
    print(f"chaos: {machines} machines, {seconds} s, seed {seed}; the slowest command took {chaos.slowest[0]:.1f} s: {chaos.slowest[1]}")
    for failure in chaos.failures:
        print(f"chaos: FAILED: {failure}")
    sys.exit(1 if chaos.failures else 0)


main()
