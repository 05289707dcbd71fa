#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures containers of podman as machines, beside the same containers with crun and the same commands of runc.

    Benchmarks/containers/containers.py .build/release/martlet-runtime [ROUNDS [create|commands|run|memory|guest ...]]

It needs root, podman, runc, crun, busybox-static, e2fsprogs and version 1 of cgroup cpuacct, and leaves nothing behind.

`guest` counts the guest instructions that KVM interpreted, as guest-images/measure.py does: it needs gcc, and uses the debug build, which is
linked dynamically. With SPIKE_AGENT=SOURCE it measures a program started by another agent too: init of a guest of the same
kernel, which takes frames (u8 type, u8 stream, u16 0, u32 length, payload) from the serial port.
"""

import os, resource, shutil, statistics, struct, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.realpath(__file__))
runtime = os.path.realpath(sys.argv[1])
martlet = f"{here}/../../.build/debug/martlet"
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
parts = sys.argv[3:] or ["create", "commands", "run", "memory", "guest"]
folder = tempfile.mkdtemp(prefix="martlet-bench-", dir="/var/tmp")
environment = dict(os.environ, CONTAINERS_CONF=f"{here}/../../scripts/podman.conf")
tick = os.sysconf("SC_CLK_TCK")
# crun refuses hosts with both versions of cgroups.
crun = f"{folder}/crun"
# conmon, the runtime and the container go into groups below it.
PARENT = f"/martlet-bench-{os.getpid()}"
ACCOUNT = f"/sys/fs/cgroup/cpuacct{PARENT}"


def write(path, text, mode=0o644):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def prepare():
    write(crun, "#!/bin/sh\nmountpoint -q /sys/fs/cgroup/unified || exec /usr/bin/crun \"$@\"\n"
          "exec unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec /usr/bin/crun \"$@\"' crun \"$@\"\n", 0o755)
    os.makedirs(f"{folder}/tree/bin")
    shutil.copy(shutil.which("busybox"), f"{folder}/tree/bin/busybox")
    for name in ("sh", "true", "sleep"):
        os.symlink("busybox", f"{folder}/tree/bin/{name}")
    subprocess.run(["tar", "-C", f"{folder}/tree", "-cf", f"{folder}/tree.tar", "."], check=True)
    podman("crun", "import", f"{folder}/tree.tar", "localhost/box")


def command(kind, *arguments):
    return ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--tmpdir", f"{folder}/tmp",
            "--runtime", {"martlet": runtime, "crun": crun, "runc": shutil.which("runc") or "/usr/sbin/runc"}[kind], *arguments]


def podman(kind, *arguments, check=True):
    return subprocess.run(command(kind, *arguments), env=environment, check=check, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True).stdout.strip()


def median(values):
    return f"{statistics.median(values):8.1f} ({min(values):.1f} to {max(values):.1f})"


def timed(arguments, **extra):
    """The time and the processor time of a command and its children, in milliseconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, **extra)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * wall, 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def measure_commands():
    print("Commands, ms: wall; processor")
    box = podman("martlet", "run", "-d", "localhost/box", "sleep", "1000")
    other = podman("runc", "run", "-d", "localhost/box", "sleep", "1000")
    commands = [
        ("martlet-runtime --version", [runtime, "--version"]), ("runc --version", ["runc", "--version"]),
        ("martlet-runtime features", [runtime, "features"]), ("runc features", ["runc", "features"]),
        ("martlet-runtime state", [runtime, "state", box]),
        ("runc state", ["runc", "state", other]),
    ]
    results = {name: [] for name, _ in commands}
    for _ in range(5 * rounds):
        for name, arguments in commands:
            try:
                results[name].append(timed(arguments))
            except subprocess.CalledProcessError:
                pass
    for name, values in results.items():
        if values:
            print(f"  {name:28}{median([v[0] for v in values])};{median([v[1] for v in values])}")
    for container in (box, other):
        podman("martlet", "rm", "-f", "-t", "0", container, check=False)


def guest_time(process):
    """What vCPUs spend in KVM_RUN, in milliseconds: system time and guest time of their threads."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/stat") as file:
                name, fields = file.read().rsplit(")", 1)
            if "vcpu" in name.lower():
                total += int(fields.split()[12])
    except OSError:
        return None
    return 1000 * total / tick


def machines():
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline") as file:
                is_machine = file.read().split("\0")[1:2] == ["container"]
            with open(f"/proc/{process}/mountinfo") as file:
                # Others may have machines too.
                if is_machine and folder in file.read():
                    found.append(process)
        except OSError:
            pass
    return found


def run(kind, *arguments):
    """A container from start to end: wall, processor time of all its processes, and of that inside KVM_RUN."""
    os.makedirs(ACCOUNT, exist_ok=True)
    before, start = usage(), time.monotonic()
    child = subprocess.Popen(command(kind, *arguments), env=environment, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, preexec_fn=lambda: join(ACCOUNT))
    inside, process = 0, None
    while child.poll() is None:
        if kind == "martlet":
            process = process or next(iter(machines()), None)
            inside = (process and guest_time(process)) or inside
        time.sleep(0.005)
    wall = time.monotonic() - start
    if child.returncode:
        raise SystemExit(f"podman: {child.stderr.read().decode()}")
    # podman's own clean-up comes after it.
    deadline = time.monotonic() + 30
    while is_used(ACCOUNT) and time.monotonic() < deadline:
        time.sleep(0.01)
    return 1000 * wall, usage() - before, inside


def join(group):
    with open(f"{group}/cgroup.procs", "w") as file:
        file.write("0")


def usage():
    """The processor time of all processes of this script's groups, in milliseconds."""
    with open(f"{ACCOUNT}/cpuacct.usage") as file:
        return int(file.read()) / 1e6


def is_used(group):
    for path, _, _ in os.walk(group):
        try:
            with open(f"{path}/cgroup.procs") as file:
                if file.read().strip():
                    return True
        except OSError:
            pass
    return False


def measure_run():
    print("podman run --rm IMAGE true, ms: wall; processor outside KVM_RUN; inside")
    arguments = ("run", "--rm", f"--cgroup-parent={PARENT}", "localhost/box", "true")
    start = time.monotonic()
    podman("martlet", *arguments)
    print(f"  the first machine, which may have to wait for a template: {time.monotonic() - start:.1f} s")
    results = {"crun": [], "martlet": []}
    for _ in range(rounds):
        for kind, values in results.items():
            values.append(run(kind, *arguments))
    for kind, values in results.items():
        outside = [total - inside for _, total, inside in values]
        print(f"  {kind:28}{median([v[0] for v in values])};{median(outside)};{median([v[2] for v in values])}")


def measure_create():
    """`create` with the root file system of an image of 145 MB, on an overlay as engines mount it."""
    lower, bundle = f"{folder}/lower", f"{folder}/bundle"
    for path in (f"{lower}/bin", f"{folder}/upper", f"{folder}/work", f"{bundle}/rootfs"):
        os.makedirs(path)
    shutil.copy(shutil.which("busybox"), f"{lower}/bin/sh")
    for index in range(2900):
        os.makedirs(f"{lower}/usr/{index % 97}", exist_ok=True)
        with open(f"{lower}/usr/{index % 97}/{index}", "wb") as file:
            file.write(os.urandom(50_000))
    namespaces = ",".join('{"type":"%s"}' % kind for kind in ("pid", "ipc", "uts", "mount", "network"))
    write(f"{bundle}/config.json", '{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":["/bin/sh"],"cwd":"/"},'
          '"linux":{"namespaces":[%s]}}' % namespaces)
    options = f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, f"{bundle}/rootfs"], check=True)
    # Only what Martlet does: nothing behind it.
    extra = dict(os.environ, MARTLET_OCI_RUNTIME="/bin/true", XDG_CACHE_HOME=f"{folder}/cache")
    print("create with a root file system of 145 MB, ms: wall; processor")
    try:
        for name in ["the first time"] + ["again"] * 3:
            # Another container of the image has a disk of its own.
            if os.path.exists(f"{bundle}/martlet-scratch.ext4"):
                os.unlink(f"{bundle}/martlet-scratch.ext4")
            wall, processor = timed([runtime, "create", "--bundle", bundle, "bench"], env=extra)
            print(f"  {name:28}{wall:8.1f};{processor:8.1f}")
            timed([runtime, "delete", "--force", "bench"], env=extra)
    finally:
        subprocess.run(["umount", f"{bundle}/rootfs"], check=True)


def private(container):
    """The private memory of a container's processes on the host, in MiB."""
    process = podman("crun", "inspect", "--format", "{{.State.Pid}} {{.State.ConmonPid}}", container).split()
    total = 0
    for number in process:
        for line in open(f"/proc/{number}/smaps_rollup"):
            if line.startswith("Private_"):
                total += int(line.split()[1])
    return total / 1024


def measure_memory():
    print("private memory of each idle container and its conmon, MiB")
    for kind, options in (("crun", []), ("martlet", []), ("martlet", ["--annotation", "martlet.template=off"])):
        made = [podman(kind, "run", "-d", *options, "localhost/box", "sleep", "10000") for _ in range(3)]
        for container in made:
            subprocess.run(command(kind, "exec", container, "true"), env=environment, check=True)
        time.sleep(10)
        values = " ".join(f"{private(container):.1f}" for container in made)
        print(f"  {kind + (', booted' if options else ''):28}{values}")
        if kind == "martlet" and not options:
            results = [timed(command(kind, "exec", made[0], "true"), env=environment) for _ in range(rounds)]
            print(f"  podman exec of true, ms    {median([v[0] for v in results])}")
        for container in made:
            podman(kind, "rm", "-f", "-t", "0", container)


class CountedMachine:
    """A command of the debug build's whose guest instructions are counted."""

    def __init__(self, *arguments, **extra):
        self.counts = f"{folder}/counts"
        write(self.counts, "\0" * 512)
        variables = dict(os.environ, LD_PRELOAD=f"{folder}/measure.so", MEASURE_FILE=self.counts, XDG_CACHE_HOME=f"{folder}/cache")
        self.process = subprocess.Popen([martlet, "run", "--sandbox", "off", *arguments], env=variables, bufsize=0,
                                        stderr=subprocess.DEVNULL, **extra)

    def count(self):
        with open(self.counts, "rb") as file:
            return sum(struct.unpack("64Q", file.read())) / 1000

    def spend(self, action):
        """The instructions of an action and what follows it, in thousands, but for those of the idle guest in as much time."""
        start, before = time.monotonic(), self.count()
        action()
        time.sleep(0.5)  # what is put off belongs to it
        took, after = time.monotonic() - start, self.count()
        time.sleep(took)
        return 2 * after - before - self.count()


class OtherAgent:
    """A guest whose init is another agent."""
    RUN, HELLO, EXIT = 1, 64, 69

    def __init__(self, source):
        subprocess.run(["gcc", "-O2", "-static", "-o", f"{folder}/agent", source], check=True)
        with open(f"{folder}/agent", "rb") as agent, open(shutil.which("busybox"), "rb") as busybox:
            entries = [("dev", 0o40755, b"", 0), ("dev/console", 0o20600, b"", 5), ("bin", 0o40755, b"", 0),
                       ("bin/true", 0o100755, busybox.read(), 0), ("init", 0o100755, agent.read(), 0), ("TRAILER!!!", 0, b"", 0)]
        with open(f"{folder}/other.cpio", "wb") as archive:
            for number, (name, mode, data, major) in enumerate(entries):
                fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, major, major // 5, len(name) + 1, 0)
                head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
                archive.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))
        kernel = os.environ.get("MARTLET_GUEST_IMAGES", f"{here}/../../guest-images/build") + "/vmlinux"
        self.machine = CountedMachine(
            kernel, "--escape", "none", "--initrd", f"{folder}/other.cpio", "--cmdline",
            "loglevel=0 i8042.noaux rodata=off highres=off", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.await_frame(self.HELLO, 0)

    def await_frame(self, kind, stream):
        received = b""
        while True:
            byte = self.machine.process.stdout.read(1)
            if not byte:
                raise SystemExit(f"the other agent: its machine has ended: {received}")
            received += byte
            # The kernel may have printed something before.
            at = received.rfind(bytes([kind, stream, 0, 0]))
            if at >= 0 and len(received) >= at + 8 + (struct.unpack_from("<I", received, at + 4)[0] if len(received) >= at + 8 else 0):
                return

    def exec(self):
        payload = struct.pack("<BIIHH", 0, 0, 0, 24, 80) + b"/\0001\0/bin/true\0PATH=/bin\0"
        self.machine.process.stdin.write(struct.pack("<BBHI", self.RUN, 1, 0, len(payload)) + payload)
        self.await_frame(self.EXIT, 1)


def measure_guest():
    print("guest instructions, thousands")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", f"{folder}/measure.so", f"{here}/../../guest-images/measure.c"], check=True)
    values = []
    # The first one boots and leaves a template.
    for _ in range(rounds + 1):
        machine = CountedMachine("--image", f"{folder}/tree", "true")
        machine.process.wait()
        values.append(machine.count())
    print(f"  run of true from a template {median(values[1:])}")
    name = f"bench-{os.getpid()}"
    machine = CountedMachine("--image", f"{folder}/tree", "--name", name, "--detach", "sleep", "10000")
    machine.process.wait()
    call = [martlet, "exec", name, "/bin/true"]
    try:
        values = [machine.spend(lambda: subprocess.run(call, check=True)) for _ in range(rounds + 1)]
    finally:
        subprocess.run([martlet, "rm", "-f", name], stdout=subprocess.DEVNULL)
    print(f"  exec of true                {median(values[1:])}")
    if source := os.environ.get("SPIKE_AGENT"):
        other = OtherAgent(source)
        try:
            values = [other.machine.spend(other.exec) for _ in range(rounds + 1)]
        finally:
            other.machine.process.kill()
            other.machine.process.wait()
        print(f"  the same, the other agent   {median(values[1:])}")


def main():
    # What a guest does between the last look at it and its end counts as outside: so the looks come in time under load too.
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(10))
    try:
        prepare()
        for part in parts:
            {"create": measure_create, "commands": measure_commands, "run": measure_run, "memory": measure_memory,
             "guest": measure_guest}[part]()
    finally:
        podman("crun", "rm", "--all", "--force", "--time", "0", check=False)
        subprocess.run(["umount", f"{folder}/root/overlay"], stderr=subprocess.DEVNULL)
        for group in os.listdir("/sys/fs/cgroup"):
            for path, _, _ in os.walk(f"/sys/fs/cgroup/{group}{PARENT}", topdown=False):
                try:
                    os.rmdir(path)
                except OSError as error:
                    print(f"left: {error}")
        shutil.rmtree(folder, ignore_errors=True)


main()
