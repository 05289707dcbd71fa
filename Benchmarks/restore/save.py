#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures saves of the default guest at its prompt, in turns with a write of as many bytes to the same disk.

    Benchmarks/restore/save.py [ROUNDS]        after `make build guest-images`, on a quiet machine; docs/performance.md has results

`command` is `martlet snapshot save`, with the guest's way to its snapshot point; `paused` the time from the request to pause to the
answer to the one to resume, over the API, with a save between them; `dd` writes as many bytes as the files of that save have on the
disk, and syncs them. MARTLET names another command.
"""

import http.client, json, os, shutil, socket, statistics, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.realpath(__file__))
martlet = os.environ.get("MARTLET", f"{here}/../../.build/release/martlet")
rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
folder = tempfile.mkdtemp(prefix="martlet-save-", dir="/var/tmp")
environment = dict(os.environ, MARTLET_RUNTIME_DIR=f"{folder}/machines")


def run(*words):
    return subprocess.run([martlet, *words], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(f"{folder}/machines/web/api.sock")


def request(connection, method, path, body):
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 204:
        sys.exit(f"{method} {path}: {answer.status} {text}")


def milliseconds(body):
    start = time.monotonic()
    body()
    return (time.monotonic() - start) * 1e3


def save_paused(connection):
    request(connection, "PATCH", "/vm", {"state": "Paused"})
    request(connection, "PUT", "/snapshot/create",
            {"snapshot_path": f"{folder}/paused/state", "mem_file_path": f"{folder}/paused/memory"})
    request(connection, "PATCH", "/vm", {"state": "Resumed"})


def write(count):
    subprocess.run(["dd", "if=/dev/zero", f"of={folder}/zeros", "bs=64K", f"count={count >> 16}", "conv=fdatasync"],
                   check=True, stderr=subprocess.DEVNULL)


try:
    os.mkdir(f"{folder}/machines", 0o700)
    run("run", "--name", "web", "--detach")
    while "# " not in run("logs", "web")[-12:]:
        time.sleep(0.2)
    connection = Connection("web")
    times = {"command": [], "paused": [], "dd": []}
    for _ in range(rounds):
        times["command"].append(milliseconds(lambda: run("snapshot", "save", "web", f"{folder}/snapshot")))
        os.mkdir(f"{folder}/paused")
        times["paused"].append(milliseconds(lambda: save_paused(connection)))
        count = sum(os.stat(f"{place}/{name}").st_blocks * 512 for place, _, names in os.walk(f"{folder}/paused") for name in names)
        times["dd"].append(milliseconds(lambda: write(count)))
        os.remove(f"{folder}/zeros")
        for name in ["snapshot", "paused"]:
            shutil.rmtree(f"{folder}/{name}")
    floor = statistics.median(times["dd"])
    print(f"{count / 2**20:.1f} MiB, load {os.getloadavg()[0]:.1f}")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:8} {middle:6.1f} ms ({min(values):.1f} to {max(values):.1f})  {middle / floor:.2f}x")
finally:
    subprocess.run([martlet, "rm", "--force", "--all"], env=environment, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder)
