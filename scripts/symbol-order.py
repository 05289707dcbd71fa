#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the functions that a restore, the start of a martlet-monitor and a running one call, for the linker to lay side by side.

usage: symbol-order.py MARTLET MONITOR GUEST-IMAGES > scripts/symbol-order.txt

The kernel maps up to sixteen pages of a program's file for each page that is touched: functions scattered over eight
megabytes cost five of memory, and a restore some 150 page faults. Every function gets a breakpoint, which is taken away when it
is hit: from the first instruction of `martlet run --restore` on, from that of a monitor that requests configure and start, and
in a monitor whose guest is at its prompt. The list names each function at its first call.
"""

import contextlib, ctypes, json, os, signal, socket, subprocess, sys, tempfile, threading, time

SEIZE, CONT, PEEKUSER, POKEUSER = 0x4206, 7, 3, 6  # sys/ptrace.h
TRACECLONE, TRACEEXEC, WALL, RIP = 8, 16, 0x40000000, 16 * 8
EXECUTED = signal.SIGTRAP << 8 | 4 << 16

libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def start(command):
    """Starts a program for `trace`, which it waits for before its first instruction."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        os.dup2(0, 1)
        os.read(reader, 1)
        os.execv(command[0], command)
    libc.ptrace(SEIZE, process, None, TRACECLONE | TRACEEXEC)
    os.write(writer, b"x")
    while os.waitpid(process, WALL)[1] >> 8 != EXECUTED >> 8:
        libc.ptrace(CONT, process, None, 0)
    return process


def trace(process, program, use, is_started=False):
    """Calls `use` on a thread of its own; returns what `process` called until its end."""
    with open(f"/proc/{process}/maps") as maps:
        base = min(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith(program))
    symbols = subprocess.run(["nm", "--defined-only", program], capture_output=True, text=True, check=True).stdout
    names = {}
    for address, kind, name in (line.split(maxsplit=2) for line in symbols.splitlines()):
        if kind in "tTwW":
            names.setdefault(base + int(address, 16), name)
    for thread in [] if is_started else os.listdir(f"/proc/{process}/task"):
        libc.ptrace(SEIZE, int(thread), None, TRACECLONE)
    memory = os.open(f"/proc/{process}/mem", os.O_RDWR)
    original = {address: os.pread(memory, 1, address) for address in names}
    for address in names:
        os.pwrite(memory, b"\xcc", address)
    if is_started:
        libc.ptrace(CONT, process, None, 0)
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


def restore(martlet, images, folder):
    """Returns what martlet calls to restore a machine."""
    environment = dict(os.environ, MARTLET_RUNTIME_DIR=f"{folder}/machines")
    snapshot = f"{folder}/snapshot"
    os.mkdir(f"{folder}/machines", 0o700)
    for arguments in (
        ["run", f"{images}/vmlinux", "--name", "order", "--detach"],
        ["snapshot", "save", "order", snapshot, "--stop"],
    ):
        subprocess.run([martlet, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
    process = start([martlet, "run", "--restore", snapshot, "--same-identity"])
    # Until the guest has gone on for a while.
    use = threading.Timer(5, os.kill, (process, signal.SIGKILL)).start
    return trace(process, martlet, use, is_started=True)


def answer(api, method="GET", target="/", body=None):
    """Returns the answer of a monitor to a request."""
    text = json.dumps(body) if body else ""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(api)
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n"
        client.sendall((head + text).encode())
        return client.recv(4096).decode()


def configure(monitor, machine, folder):
    """Returns what a monitor calls to be configured, started, changed and saved by requests, and for a guest that uses its metadata."""
    ask = "ifconfig eth0 10.0.0.2; ip route add 169.254.169.254 dev eth0; wget -O- http://169.254.169.254/text"
    machine["boot-source"]["boot_args"] += f' martlet.run="{ask}"'
    api, metrics, frames = f"{folder}/start", f"{folder}/metrics", socket.socket(socket.AF_UNIX)
    frames.bind(f"{folder}/frames")
    frames.listen()
    network = {"iface_id": "net", "martlet": {"backend": "stream", "path": f"{folder}/frames"}}
    requests = [(f"/{name}", machine[name]) for name in ("machine-config", "boot-source")]
    requests += [("/drives/root", machine["drives"][0]), ("/network-interfaces/net", network)]
    requests += [("/mmds/config", {"network_interfaces": ["net"]}), ("/mmds", {"text": "metadata"})]
    requests += [("/vsock", {"guest_cid": 3, "uds_path": f"{folder}/vsock"}), ("/actions", {"action_type": "InstanceStart"})]
    flush = ("/actions", {"action_type": "FlushMetrics"})
    requests += [flush]
    limits = {"ops": {"size": 1000, "refill_time": 100}}
    changes = [("/drives/root", {"drive_id": "root", "path_on_host": machine["drives"][0]["path_on_host"], "rate_limiter": limits})]
    changes += [("/network-interfaces/net", {"iface_id": "net", "rx_rate_limiter": limits}), ("/mmds", {"text": "changed"})]
    changes += [("/vm", {"state": "Resumed"}), ("/vm", {"state": "Paused"})]
    files = {"snapshot_path": f"{folder}/state", "mem_file_path": f"{folder}/memory"}
    saves = [("/snapshot/create", files | {"snapshot_type": kind}) for kind in ("Full", "Diff")]
    failures = []
    process = start([monitor, "--api-sock", api, "--metrics-path", metrics, "--log-path", f"{folder}/log", "--level", "Debug"])

    def use():
        # The machine ends by itself.
        with contextlib.suppress(OSError):
            while not os.path.exists(api):
                time.sleep(0.1)
            steps = [("PUT", *request) for request in requests] + [("PATCH", *request) for request in changes]
            steps += [("PUT", *request) for request in saves] + [("PATCH", "/vm", {"state": "Resumed"}), ("PUT", *flush)]
            failures.extend(text for text in (answer(api, *step) for step in steps) if " 204 " not in text)
            for target in ("/", "/vm/config", "/mmds", "/martlet/stats"):
                answer(api, "GET", target)
            if failures:
                os.kill(process, signal.SIGKILL)

    names = trace(process, monitor, use, is_started=True)
    if failures:
        sys.exit("\n".join(failures))
    return names


def main(martlet, monitor, images):
    martlet, monitor = os.path.realpath(martlet), os.path.realpath(monitor)
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
                answer(api)
            process.send_signal(signal.SIGKILL)

        wait(b"martlet:~# ")
        running = trace(process.pid, monitor, use)
        starting = configure(monitor, machine, folder)
        print("\n".join(dict.fromkeys(restore(martlet, images, folder) + starting + running)))


main(*sys.argv[1:])
