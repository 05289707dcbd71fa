#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives martlet-runtime by podman, docker and containerd, each with folders, sockets and a network of its own.

    scripts/test-engines.py RUNTIME [podman|crun|docker|killed|swarm|ctr|cri|many ...]

crun is podman with crun as the runtime behind Martlet; killed is docker that is killed and started again; swarm is a Docker Swarm of two
nodes; cri is containerd as a kubelet drives it; many is twenty containers in sequence and ten at once. Needs root, podman, docker.io, containerd, runc, crun,
containernetworking-plugins, busybox-static and iproute2; cri also python3-venv, for PyPI's stubs of CRI. A check that fails is
printed, and the exit status is 1. What a run that was killed has left is removed by the next one. MEGABYTES=N says how much goes through
the programs that give back their input (1).
"""

import base64, fcntl, filecmp, json, os, pty, random, re, shutil, signal, socket, struct, subprocess, sys, tempfile, termios, time

runtime = os.path.realpath(sys.argv[1])
parts = sys.argv[2:] or ["podman", "crun", "docker", "killed", "swarm", "ctr", "cri", "many"]
folder = tempfile.mkdtemp(prefix="martlet-engines-", dir="/var/tmp")
failures, started = [], []
PATIENCE = 400
MEGABYTES = int(os.environ.get("MEGABYTES", "1"))
# The control group of all containers whose engine can be told one.
GROUP = f"/{os.path.basename(folder)}"


def write(name, text, mode=0o644):
    path = f"{folder}/{name}"
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def check(name, holds, shown=""):
    print(f"  {'ok    ' if holds else 'FAILED'} {name}{'' if holds else f': {shown}'}", flush=True)
    if not holds:
        failures.append(name)


class Answer:
    def __init__(self, arguments, text=None, patience=PATIENCE):
        """- Parameter text: The input, as text or bytes, which the output is then too; nothing where it is missing."""
        try:
            done = subprocess.run(arguments, input=text, stdin=subprocess.DEVNULL if text is None else None, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=not isinstance(text, bytes), timeout=patience)
            self.status, self.out, self.errors = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            self.status, self.out, self.errors = -1, "", f"no end within {patience} s"

    def __repr__(self):
        return f"status {self.status}, {self.out[-300:]!r}, {self.errors[-300:]!r}"


def wait(what, condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            check(what, False, "not in time")
            return False
        time.sleep(0.1)
    return True


def start(name, arguments, environment=None):
    """Starts a daemon of this script's."""
    log = open(f"{folder}/{name}.log", "a")
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                               env=dict(os.environ, **(environment or {})))
    started.append(process)
    return process


def on_terminal(arguments, rows, columns):
    """Runs a command on a terminal, and gives its number and process."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvp(arguments[0], arguments)
    resize(terminal, rows, columns)
    return process, terminal


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(terminal, pattern):
    text, end = "", time.monotonic() + PATIENCE
    os.set_blocking(terminal, False)
    while not re.search(pattern, text) and time.monotonic() < end:
        try:
            bytes = os.read(terminal, 4096)
            if not bytes:
                break
            text += bytes.decode(errors="replace")
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            break
    return text


def machines(folder=folder):
    """The processes of a run's machines: those that have a disk in its folder, or are in its control group."""
    found, name = [], os.path.basename(folder)
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline") as file:
                is_machine = file.read().startswith("/m/bin/martlet\0")
            with open(f"/proc/{number}/mountinfo") as mounts, open(f"/proc/{number}/cgroup") as groups:
                if is_machine and name in mounts.read() + groups.read():
                    found.append(int(number))
        except OSError:
            pass
    return found


def states(folder=folder):
    """The folders that Martlet keeps for a run's containers."""
    found = []
    for name in os.listdir("/run/martlet-oci") if os.path.exists("/run/martlet-oci") else []:
        try:
            with open(f"/run/martlet-oci/{name}/origin.json") as file:
                if folder in file.read():
                    found.append(name)
        except OSError:
            pass
    return found


def leftovers():
    return machines(), states()


def show_log(name):
    with open(f"{folder}/{name}.log") as file:
        print(file.read()[-2000:])


def check_nothing_left(name):
    end = time.monotonic() + 60
    while any(leftovers()) and time.monotonic() < end:
        time.sleep(0.2)
    check(f"{name}: no process and no folder is left", not any(leftovers()), leftovers())


def check_bytes(what, arguments):
    """Looks whether a program that gives back its input gives it back to the last byte."""
    sent = random.randbytes(MEGABYTES * 1_000_000)
    ended = Answer(arguments, sent, patience=PATIENCE * MEGABYTES)
    check(f"{what}: {MEGABYTES} MB there and back", ended.status == 0 and ended.out == sent, (ended, len(ended.out)))


# The calls that podman and docker have alike.

def exit_code(call, name):
    return Answer([*call, "inspect", "--format", "{{.State.ExitCode}}", name]).out.strip()


def start_listener(call, name):
    """Starts a container whose program ends with status 7 by SIGTERM."""
    Answer([*call, "run", "-d", "--name", name, "--network", "none", "box", "sh", "-c",
            "trap 'exit 7' TERM; while :; do sleep 1; done"])


def stop_listener(what, moment, call, name):
    """Looks whether the program of `start_listener` can be joined and stopped, and removes its container."""
    ended = Answer([*call, "exec", name, "sh", "-c", "exit 5"])
    check(f"{what}: exec{moment}", ended.status == 5, ended)
    Answer([*call, "stop", "-t", "60", name])
    code = exit_code(call, name)
    check(f"{what}: stop{moment}", code == "7", code)
    Answer([*call, "rm", "-f", name])
    check_nothing_left(what)


def check_engine(name, call, network):
    """- Parameter network: the options of a container with a network and a published port 8080."""
    none = ["--network", "none"]

    def run(*arguments, text=None, options=()):
        return Answer([*call, "run", "--rm", *none, *options, "box", *arguments], text)

    ended = run("sh", "-c", "echo out; echo err >&2; exit 3")
    check(f"{name}: status and streams", (ended.status, ended.out) == (3, "out\n") and "err" in ended.errors, ended)
    ended = run("nosuch")
    check(f"{name}: no such program", ended.status == 127, ended)
    ended = run("/bin")
    check(f"{name}: a program that cannot be run", ended.status == 126, ended)
    ended = run("wc", "-l", text="one\ntwo\n", options=["-i"])
    check(f"{name}: input to its end", ended.out.strip() == "2", ended)
    check_bytes(f"{name}: run -i", [*call, "run", "--rm", "-i", *none, "box", "cat"])
    ended = run("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 9 & done", options=["--pids-limit", "6"])
    check(f"{name}: a limit of processes", ended.status != 0 and "can't fork" in ended.errors, ended)
    ended = Answer([*call, "run", "--rm", *none, "-v", f"{folder}:/x", "box", "true"])
    check(f"{name}: a folder to write to is refused in words",
          ended.status in (125, 126, 127) and "mount it read-only" in ended.errors, ended)
    ended = Answer([*call, "run", "--rm", *none, "-v", f"{folder}/copied:/x:ro", "box", "cat", "/x/file"])
    check(f"{name}: a folder read-only is copied", ended.out == "text\n", ended)

    process, terminal = on_terminal(
        [*call, "run", "--rm", "-it", *none, "box", "sh", "-c", "stty size; read x; stty size; exit 4"], 30, 100)
    text = read_until(terminal, r"30 100\s")
    resize(terminal, 31, 101)
    time.sleep(2)
    os.write(terminal, b"\n")
    text += read_until(terminal, r"31 101\s")
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    check(f"{name}: a terminal, which changes its size", "30 100" in text and "31 101" in text and status == 4, text)

    program = 'trap "echo over; exit 7" TERM; busybox httpd -p 80 -h /bin; echo begun; while :; do sleep 1; done'
    made = Answer([*call, "run", "-d", "--name", "web", *network, "box", "sh", "-c", program])
    check(f"{name}: run -d", made.status == 0, made)
    ended = Answer([*call, "exec", "web", "sh", "-c", "echo here; exit 5"])
    check(f"{name}: exec at once", (ended.status, ended.out) == (5, "here\n"), ended)
    ended = Answer([*call, "exec", "-i", "web", "cat"], "words\n")
    check(f"{name}: exec -i", ended.out == "words\n", ended)
    check_bytes(f"{name}: exec -i", [*call, "exec", "-i", "web", "cat"])
    ended = Answer([*call, "exec", "web", "nosuch"])
    check(f"{name}: exec of no such program", ended.status == 127, ended)
    ended = Answer([*call, "exec", "web", "/bin"])
    check(f"{name}: exec of a program that cannot be run", ended.status == 126, ended)
    follower = subprocess.Popen([*call, "logs", "-f", "web"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(f"{name}: logs -f tells what there is", follower.stdout.readline() == "begun\n")
    ended = Answer(["timeout", "60", "busybox", "wget", "-q", "-O", f"{folder}/fetched", "http://192.0.2.1:8080/busybox"])
    same = ended.status == 0 and open(f"{folder}/fetched", "rb").read() == open(shutil.which("busybox"), "rb").read()
    check(f"{name}: a published port", same, ended)
    for words in (["pause", "web"], ["unpause", "web"], ["stats", "--no-stream", "web"]):
        ended = Answer([*call, *words])
        check(f"{name}: {words[0]}", ended.status == 0, ended)
    ended = Answer([*call, "restart", "-t", "60", "web"])
    check(f"{name}: restart", ended.status == 0, ended)
    ended = Answer([*call, "exec", "web", "true"])
    check(f"{name}: exec after a restart", ended.status == 0, ended)
    wait(f"{name}: the program's second run", lambda: Answer([*call, "logs", "web"]).out.count("begun") == 2)
    ended = Answer([*call, "stop", "-t", "60", "web"])
    code = exit_code(call, "web")
    check(f"{name}: stop, and the program's own end", ended.status == 0 and code == "7", (ended, code))
    logs = Answer([*call, "logs", "web"]).out
    check(f"{name}: logs of both runs", logs == "begun\nover\n" * 2, logs)
    followed = follower.communicate(timeout=PATIENCE)[0]
    check(f"{name}: logs -f told of the end", followed.startswith("over\n"), followed)
    Answer([*call, "rm", "-f", "web"])

    Answer([*call, "run", "-d", "--name", "deaf", *none, "box", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    Answer([*call, "exec", "deaf", "true"])
    ended = Answer([*call, "stop", "-t", "1", "deaf"])
    code = exit_code(call, "deaf")
    check(f"{name}: stop of a program that does not listen", ended.status == 0 and code == "137", (ended, code))
    Answer([*call, "start", "deaf"])
    Answer([*call, "exec", "deaf", "true"])
    begin = time.monotonic()
    ended = Answer([*call, "stop", "-t", "0", "deaf"])
    took, code = time.monotonic() - begin, exit_code(call, "deaf")
    check(f"{name}: stop without grace", ended.status == 0 and code == "137" and took < 10, (ended, code, took))
    # The machine's process is killed, at whatever moment.
    Answer([*call, "start", "deaf"])
    number = Answer([*call, "inspect", "--format", "{{.State.Pid}}", "deaf"]).out.strip()
    os.kill(int(number), signal.SIGKILL)
    ended = Answer([*call, "wait", "deaf"])
    check(f"{name}: a machine that is killed", ended.out.strip() == "137", ended)
    ended = Answer([*call, "rm", "-f", "deaf"])
    check(f"{name}: rm", ended.status == 0, ended)
    check_restarts(name, call)
    check_copies(name, call)
    check_nothing_left(name)


def check_restarts(name, call):
    """A program that fails is started again by the engine, as often as it was told."""
    def shown(words):
        return Answer([*call, "inspect", "--format", words, "again"]).out.strip()

    Answer([*call, "run", "-d", "--name", "again", "--network", "none", "--restart", "on-failure:2", "box", "sh", "-c",
            "echo again; exit 3"])
    wait(f"{name}: the last restart", lambda: shown("{{.RestartCount}} {{.State.Status}}") == "2 exited")
    logs = Answer([*call, "logs", "again"]).out
    check(f"{name}: restarts after failures", logs == "again\n" * 3 and exit_code(call, "again") == "3", logs)
    Answer([*call, "rm", "-f", "again"])


def check_copies(name, call):
    """Files of a container that does not run are the host's to change; what a program writes stays in its machine."""
    Answer([*call, "create", "--name", "copies", "--network", "none", "box", "cat", "/put", "/bin/put"])
    for target in ("/put", "/bin/"):
        ended = Answer([*call, "cp", f"{folder}/copied/put", f"copies:{target}"])
        check(f"{name}: cp to {target} before the start", ended.status == 0, ended)
    ended = Answer([*call, "start", "-a", "copies"])
    check(f"{name}: the program finds what was copied", ended.out == "put\n" * 2, ended)
    ended = Answer([*call, "cp", "copies:/bin/put", f"{folder}/got-{name}"])
    check(f"{name}: cp from a container", ended.status == 0 and open(f"{folder}/got-{name}").read() == "put\n", ended)
    Answer([*call, "rm", "-f", "copies"])


def make_podman(behind):
    path = runtime
    if behind:
        path = write("martlet-runtime", f"#!/bin/sh\nMARTLET_OCI_RUNTIME={behind} exec {runtime} \"$@\"\n", 0o755)
    call = [write("podman.sh", f"""#!/bin/sh
export CONTAINERS_CONF={os.path.dirname(os.path.realpath(__file__))}/podman.conf
verb=$1
shift
case $verb in
run | create) set -- --cgroup-parent={GROUP} "$@" ;;
in-pod) verb=run ;;
esac
exec podman --root {folder}/podman --runroot {folder}/podman-run --tmpdir {folder}/podman-tmp --runtime {path} $verb "$@"
""", 0o755)]
    Answer([*call, "import", f"{folder}/tree.tar", "box"])
    return call


def run_podman():
    call, network = make_podman(None), ["--network", "podman", "-p", "8080:80"]
    check_engine("podman", call, network)
    check_podman_pod(call, network)


def check_podman_pod(call, network):
    """Three containers in the machine of their pod."""
    made = Answer([*call, "pod", "create", f"--cgroup-parent={GROUP}", "--name", "pod", "--infra-image", "box",
                   "--infra-command", "/bin/sleep 1000000", *network])
    check("podman: pod create", made.status == 0, made)

    def run(name, *command):
        # Its control group is the pod's.
        made = Answer([call[0], "in-pod", "-d", "--pod", "pod", "--name", name, "box", *command])
        check(f"podman: {name} in the pod", made.status == 0, made)

    run("server", "sh", "-c", "trap 'exit 7' TERM; busybox httpd -p 80 -h /bin; while :; do sleep 1; done")
    run("other", "sh", "-c", "trap 'exit 8' TERM; while :; do sleep 1; done")
    run("asker", "sh", "-c", "until busybox wget -q -O /got http://127.0.0.1/busybox 2>/dev/null; do sleep 1; done; "
                             "busybox cmp /got /bin/busybox && busybox hostname; exit 3")
    ended, logs = Answer([*call, "wait", "asker"]), Answer([*call, "logs", "asker"])
    check("podman: localhost of the pod", (ended.out, logs.out) == ("3\n", "pod\n"), (ended, logs))
    boots = [Answer([*call, "exec", name, "cat", "/proc/sys/kernel/random/boot_id"]).out for name in ("server", "other")]
    check("podman: one machine for the pod", boots[0] == boots[1] != "", boots)
    ended = Answer([*call, "pod", "stop", "-t", "60", "pod"])
    codes = [exit_code(call, name) for name in ("server", "other")]
    check("podman: pod stop, and the programs' own ends", ended.status == 0 and codes == ["7", "8"], (ended, codes))
    ended = Answer([*call, "pod", "rm", "-f", "pod"])
    check("podman: pod rm", ended.status == 0, ended)
    check_nothing_left("podman's pod")


def run_crun():
    # crun refuses hosts with both versions of cgroups.
    crun = write("crun", "#!/bin/sh\nmountpoint -q /sys/fs/cgroup/unified || exec /usr/bin/crun \"$@\"\n"
                 "exec unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec /usr/bin/crun \"$@\"' crun \"$@\"\n", 0o755)
    call = make_podman(crun)
    ended = Answer([*call, "run", "--rm", "--network", "none", "box", "sh", "-c", "echo out; exit 3"])
    check("crun: status and output", (ended.status, ended.out) == (3, "out\n"), ended)
    start_listener(call, "c")
    stop_listener("crun", "", call, "c")


def docker_daemon(name, address, *options):
    """The command line of a daemon with folders and a socket of its own."""
    return ["/usr/sbin/dockerd", "-H", f"unix://{folder}/{name}.sock", "--data-root", f"{folder}/{name}",
            "--exec-root", f"{folder}/{name}-run", "--pidfile", f"{folder}/{name}.pid", "--storage-driver", "overlay2",
            "--oom-score-adjust", "0", "--cgroup-parent", GROUP, "--bip", address, "--add-runtime",
            f"martlet={runtime}", "--default-runtime", "martlet", *options]


def start_docker():
    return start("dockerd", docker_daemon("docker", "172.29.1.1/24", "--live-restore"))


def wait_for_docker(what, call):
    if not wait(f"docker: {what}", lambda: Answer([*call, "version"]).status == 0, 180):
        show_log("dockerd")


def run_docker():
    call, daemon = first_docker()
    check_engine("docker", call, ["-p", "8080:80"])
    daemon.terminate()
    daemon.wait()


def first_docker():
    call = ["docker", "-H", f"unix://{folder}/docker.sock"]
    daemon = start_docker()
    wait_for_docker("the daemon", call)
    Answer([*call, "import", f"{folder}/tree.tar", "box"])
    return call, daemon


def run_killed():
    """The engine is killed and started again."""
    call, daemon = first_docker()
    start_listener(call, "kept")
    Answer([*call, "exec", "kept", "true"])
    with open(f"{folder}/docker-run/containerd/containerd.pid") as file:
        containerd = file.read()
    daemon.kill()
    daemon.wait()
    # The kernel kills it too. A successor that finds it still there relies on it, and fails.
    wait("docker: the end of its containerd", lambda: not os.path.exists(f"/proc/{containerd}"))
    daemon = start_docker()
    wait_for_docker("the daemon again", call)
    stop_listener("docker", " after the engine was killed", call, "kept")
    daemon.terminate()
    daemon.wait()


def run_swarm():
    """A swarm of two nodes, the second one in a network of its own."""
    for words in ("link add node1 type veth peer name node2", "address add 10.77.0.1/24 dev node1", "link set node1 up"):
        subprocess.run(["ip", *words.split()], check=True)
    script = ("ip link set lo up; until ip link set node2 up 2>/dev/null; do sleep 0.1; done; "
              'ip address add 10.77.0.2/24 dev node2; exec "$@"')
    daemons = [start("swarm1", docker_daemon("swarm1", "172.29.1.1/24")),
               start("swarm2", ["unshare", "--net", "sh", "-c", script, "sh", *docker_daemon("swarm2", "172.29.2.1/24")])]
    end = time.monotonic() + 30
    while os.stat(f"/proc/{daemons[1].pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
        if time.monotonic() > end:
            return check("swarm: the second node's network", False)
        time.sleep(0.05)
    subprocess.run(["ip", "link", "set", "node2", "netns", str(daemons[1].pid)], check=True)
    calls = [["docker", "-H", f"unix://{folder}/swarm{number}.sock"] for number in (1, 2)]
    for call in calls:
        wait_for_docker("a node of the swarm", call)
        Answer([*call, "import", f"{folder}/tree.tar", "box"])
    check_swarm(*calls)
    for call in reversed(calls):
        Answer([*call, "swarm", "leave", "--force"])
    for daemon in daemons:
        daemon.terminate()
        daemon.wait()
    subprocess.run(["ip", "link", "delete", "node1"], stderr=subprocess.DEVNULL)


def check_swarm(call, other):
    begun = Answer([*call, "swarm", "init", "--advertise-addr", "10.77.0.1", "--listen-addr", "10.77.0.1:2377"])
    token = Answer([*call, "swarm", "join-token", "-q", "worker"]).out.strip()
    joined = Answer([*other, "swarm", "join", "--token", token, "--advertise-addr", "10.77.0.2", "--listen-addr",
                     "10.77.0.2:2377", "10.77.0.1:2377"])
    check("swarm: two nodes", begun.status == 0 and joined.status == 0, (begun, joined))
    second = Answer([*other, "info", "--format", "{{.Swarm.NodeID}}"]).out.strip()

    def running(node):
        return Answer([*node, "ps", "-q", "--no-trunc"]).out.split()

    def are_running(count):
        return lambda: Answer([*call, "service", "ls", "--format", "{{.Replicas}}"]).out.strip() == f"{count}/{count}"

    made = Answer([*call, "service", "create", "--detach", "--name", "s", "--replicas", "2", "--no-resolve-image",
                   "--stop-grace-period", "60s", "--env", "ROUND=1", "box", "sh", "-c",
                   "trap 'echo over $ROUND; exit 0' TERM; echo begun $ROUND; while :; do sleep 1; done"])
    check("swarm: service create", made.status == 0, made)
    wait("swarm: two tasks", are_running(2))
    check("swarm: a machine on each node", [len(running(node)) for node in (call, other)] == [1, 1], running(call))

    def wait_for_programs(what, words, count):
        wait(f"swarm: {what}", lambda: Answer([*call, "service", "logs", "s"]).out.count(words) >= count)

    wait_for_programs("service logs of both", "begun 1", 2)
    ended = Answer([*other, "exec", (running(other) or ["none"])[0], "sh", "-c", "exit 5"])
    check("swarm: exec in a task", ended.status == 5, ended)

    Answer([*call, "service", "scale", "--detach", "s=3"])
    check("swarm: scale", wait("swarm: three tasks", are_running(3)))
    # A program that is told to end before it has set its trap ends by that.
    wait_for_programs("the third program", "begun 1", 3)
    ended = Answer([*call, "service", "update", "--detach", "--update-parallelism", "3", "--env-add", "ROUND=2", "s"])
    check("swarm: update is begun", ended.status == 0, ended)
    wait_for_programs("update", "begun 2", 3)
    logs = Answer([*call, "service", "logs", "s"]).out
    check("swarm: the programs before the update ended by themselves", logs.count("over 1") == 3, logs)

    Answer([*call, "node", "update", "--availability", "drain", second])
    moved = wait("swarm: drain", lambda: not running(other) and len(running(call)) == 3 and are_running(3)())
    check("swarm: a drained node's task goes on at the other one", moved)
    number = Answer([*call, "inspect", "--format", "{{.State.Pid}}", (running(call) or ["none"])[0]]).out.strip()
    before = set(running(call))
    if number.isdigit() and number != "0":
        os.kill(int(number), signal.SIGKILL)
    replaced = wait("swarm: a machine that is killed",
                    lambda: len(running(call)) == 3 and set(running(call)) != before and are_running(3)())
    check("swarm: a machine that is killed is replaced", replaced)
    ended = Answer([*call, "service", "rm", "s"])
    check("swarm: service rm", ended.status == 0, ended)
    wait("swarm: the end of all tasks", lambda: not [*running(call), *running(other)])
    for node in (call, other):
        Answer([*node, "container", "prune", "--force"])
    check_nothing_left("swarm")


def run_ctr():
    write("containerd.toml", f"""
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-run"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/containerd.sock"
""")
    daemon = start("containerd", ["containerd", "-c", f"{folder}/containerd.toml"])
    call = ["ctr", "-a", f"{folder}/containerd.sock"]
    if not wait("ctr: the daemon", lambda: Answer([*call, "version"]).status == 0, 60):
        return
    # The archive of an image, by docker's own form.
    Answer([*make_podman(None), "save", "-o", f"{folder}/box.tar", "box"])
    Answer([*call, "images", "import", f"{folder}/box.tar"])
    image = Answer([*call, "images", "ls", "-q"]).out.strip()
    run = [*call, "run", "--runc-binary", runtime]
    ended = Answer([*run, "--rm", image, "one", "/bin/sh", "-c", "echo out; exit 3"])
    check("ctr: status and output", (ended.status, ended.out) == (3, "out\n"), ended)
    ended = Answer([*run, "--rm", image, "none", "nosuch"])
    check("ctr: no such program", ended.status != 0 and "not found" in ended.errors, ended)
    ended = Answer([*run, "-d", image, "two", "/bin/sh", "-c", "trap 'exit 7' TERM; while :; do sleep 1; done"])
    check("ctr: run -d", ended.status == 0, ended)
    ended = Answer([*call, "task", "exec", "--exec-id", "e", "two", "/bin/sh", "-c", "exit 5"])
    check("ctr: exec at once", ended.status == 5, ended)
    for words in (["pause", "two"], ["resume", "two"]):
        ended = Answer([*call, "task", *words])
        check(f"ctr: {words[0]}", ended.status == 0, ended)
    Answer([*call, "task", "kill", "-s", "TERM", "two"])
    wait("ctr: the end of the program", lambda: "STOPPED" in Answer([*call, "task", "ls"]).out)
    ended = Answer([*call, "task", "delete", "two"])
    check("ctr: delete gives the program's status", "exit code 7" in ended.errors, ended)
    Answer([*call, "containers", "rm", "two"])
    Answer([*call, "containers", "rm", "none"])
    check_nothing_left("ctr")
    daemon.terminate()
    daemon.wait()


def make_stubs():
    """Installs the stubs of CRI where this user's are not, and gives their folder."""
    place = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "martlet", "cri-stubs")
    if not os.path.exists(f"{place}/whole"):
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        subprocess.run([f"{place}/bin/pip", "install", "-q", "container-runtime-interface-api==2.0.1"], check=True)
        open(f"{place}/whole", "w").close()
    return place


class Kubelet:
    """Calls containerd's CRI as a kubelet does."""

    def __init__(self, address):
        versions = os.listdir(f"{make_stubs()}/lib")
        sys.path.append(f"{make_stubs()}/lib/{versions[0]}/site-packages")
        import grpc
        from cri_api.v1 import api_pb2, api_pb2_grpc
        self.api, self.problem = api_pb2, grpc.RpcError
        self.runtime = api_pb2_grpc.RuntimeServiceStub(grpc.insecure_channel(address))
        self.logs = f"{folder}/logs"
        os.makedirs(self.logs, exist_ok=True)

    def is_ready(self):
        try:
            conditions = self.runtime.Status(self.api.StatusRequest(), timeout=10).status.conditions
            return all(condition.status for condition in conditions)
        except self.problem:
            return False

    def start_pod(self, name, annotations={}, shares_processes=False, settings={}, privileged=False, **others):
        config = self.api.PodSandboxConfig(log_directory=self.logs, hostname=name, annotations=annotations, **others)
        config.linux.sysctls.update(settings)
        config.metadata.name, config.metadata.uid, config.metadata.namespace = name, name, "default"
        config.linux.cgroup_parent = f"/{os.path.basename(folder)}/{name}"
        # A kubelet asks for these unless a pod says otherwise.
        options = config.linux.security_context.namespace_options
        options.network, options.ipc = self.api.POD, self.api.POD
        options.pid = self.api.POD if shares_processes else self.api.CONTAINER
        config.linux.security_context.privileged = privileged
        request = self.api.RunPodSandboxRequest(config=config, runtime_handler="martlet")
        return config, self.runtime.RunPodSandbox(request, timeout=PATIENCE).pod_sandbox_id

    def create(self, pod, name, command, attempt=0, memory=0, context={}, **others):
        """Creates a container, with fields of its security context. Gives its id."""
        config = self.api.ContainerConfig(command=command, log_path=f"{name}.{attempt}.log", **others)
        config.linux.security_context.MergeFrom(self.api.LinuxContainerSecurityContext(**context))
        config.metadata.name, config.metadata.attempt, config.image.image = name, attempt, "localhost/box:latest"
        config.linux.security_context.namespace_options.CopyFrom(pod[0].linux.security_context.namespace_options)
        config.linux.resources.memory_limit_in_bytes = memory
        request = self.api.CreateContainerRequest(pod_sandbox_id=pod[1], config=config, sandbox_config=pod[0])
        return self.runtime.CreateContainer(request, timeout=PATIENCE).container_id

    def start(self, *arguments, **others):
        """Creates and starts a container. Gives its id, or the words of an error."""
        number = self.create(*arguments, **others)
        try:
            self.runtime.StartContainer(self.api.StartContainerRequest(container_id=number), timeout=PATIENCE)
        except self.problem as error:
            self.remove(number)
            return error.details()
        return number

    def ids(self, **filter):
        """The containers that a filter lets through."""
        request = self.api.ListContainersRequest(filter=self.api.ContainerFilter(**filter))
        return [container.id for container in self.runtime.ListContainers(request, timeout=60).containers]

    def status(self, container):
        return self.runtime.ContainerStatus(self.api.ContainerStatusRequest(container_id=container), timeout=60).status

    def exit_code(self, container):
        wait("cri: the end of a container", lambda: self.status(container).state == self.api.CONTAINER_EXITED)
        return self.status(container).exit_code

    def exec(self, container, *command, patience=PATIENCE):
        request = self.api.ExecSyncRequest(container_id=container, cmd=command, timeout=patience)
        try:
            answer = self.runtime.ExecSync(request, timeout=PATIENCE)
            return answer.exit_code, answer.stdout.decode(), answer.stderr.decode()
        except self.problem as error:
            return -1, "", error.details()

    def stop(self, container, grace):
        self.runtime.StopContainer(self.api.StopContainerRequest(container_id=container, timeout=grace), timeout=PATIENCE)

    def remove(self, container):
        self.runtime.RemoveContainer(self.api.RemoveContainerRequest(container_id=container), timeout=PATIENCE)

    def stop_pod(self, pod):
        self.runtime.StopPodSandbox(self.api.StopPodSandboxRequest(pod_sandbox_id=pod[1]), timeout=PATIENCE)
        self.runtime.RemovePodSandbox(self.api.RemovePodSandboxRequest(pod_sandbox_id=pod[1]), timeout=PATIENCE)

    def log(self, name, attempt=0):
        """The lines of a container's log, as stream and text: each has a time, the stream, a mark for what is whole, and the text."""
        try:
            with open(f"{self.logs}/{name}.{attempt}.log") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        found = [re.fullmatch(r"\d{4}-\S+T\S+ (stdout|stderr) F (.*)", line) for line in lines]
        return [match.groups() if match else ("no line of CRI's", line) for match, line in zip(found, lines)]

    def on_terminal(self, container, command, text):
        """Runs a command on a terminal of 30 rows and 100 columns, by the stream that CRI gives, types text and gives all that is shown.

        Without a command, the terminal is that of the container's program.
        """
        options = {"container_id": container, "tty": True, "stdin": True, "stdout": True}
        if command:
            url = self.runtime.Exec(self.api.ExecRequest(cmd=command, **options), timeout=60).url
        else:
            url = self.runtime.Attach(self.api.AttachRequest(**options), timeout=60).url
        place = re.match(r"http://([^:/]+):(\d+)(/.*)", url)
        stream = socket.create_connection((place[1], int(place[2])), timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        stream.sendall((f"GET {place[3]} HTTP/1.1\r\nHost: {place[1]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n").encode())
        received = stream.makefile("rb")
        while received.readline().strip():
            pass

        def send(channel, payload):
            payload = bytes([channel]) + payload
            stream.sendall(bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

        send(4, b'{"Width":100,"Height":30}')
        send(0, text.encode())
        shown = b""
        while True:
            head = received.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return shown.decode()
            size = head[1] & 127
            if size > 125:
                size = int.from_bytes(received.read(2 if size == 126 else 8), "big")
            payload = received.read(size)
            if payload[:1] in (b"\1", b"\3"):
                shown += payload[1:]


def start_kubelet():
    os.makedirs(f"{folder}/cni")
    write("cni/10-ptp.conflist", json.dumps({"cniVersion": "0.4.0", "name": "ptp", "plugins": [
        {"type": "ptp", "ipMasq": False, "ipam": {"type": "host-local", "subnet": "10.244.77.0/24",
                                                  "dataDir": f"{folder}/cni-data", "routes": [{"dst": "0.0.0.0/0"}]}}]}))
    write("containerd.toml", f"""
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-run"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:3.6"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "martlet"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.martlet]
    runtime_type = "io.containerd.runc.v2"
    privileged_without_host_devices = true
    pod_annotations = ["martlet.*"]
    container_annotations = ["martlet.*"]
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.martlet.options]
      BinaryName = "{runtime}"
""")
    daemon = start("containerd", ["containerd", "-c", f"{folder}/containerd.toml"])
    call = ["ctr", "-a", f"{folder}/containerd.sock", "-n", "k8s.io"]
    if not wait("cri: the daemon", lambda: Answer([*call, "version"]).status == 0, 60):
        return daemon, None
    podman = make_podman(None)
    for name, words in (("box:latest", []), ("pause:3.6", ["--change", 'CMD ["/bin/sleep", "1000000"]'])):
        Answer([*podman, "import", *words, f"{folder}/tree.tar", f"localhost/{name}"])
        archive = f"{folder}/{name.partition(':')[0]}.tar"
        Answer([*podman, "save", "-o", archive, f"localhost/{name}"])
        made = Answer([*call, "images", "import", archive])
        check(f"cri: the image {name}", made.status == 0, made)
    kubelet = Kubelet(f"unix://{folder}/containerd.sock")
    if not wait("cri: the service", kubelet.is_ready, 60):
        show_log("containerd")
        return daemon, None
    return daemon, kubelet


def run_cri():
    daemon, kubelet = start_kubelet()
    if kubelet:
        check_container_of_pod(kubelet)
        check_pod(kubelet)
        check_shared_processes(kubelet)
        check_validation_cases(kubelet)
        check_nothing_left("cri")
    daemon.terminate()
    daemon.wait()


def check_container_of_pod(kubelet):
    pod = kubelet.start_pod("single")
    container = kubelet.start(pod, "short", ["sh", "-c", "echo out; echo err >&2; exit 3"])
    code = kubelet.exit_code(container)
    lines = kubelet.log("short")
    check("cri: status", code == 3, code)
    check("cri: a log of both streams", sorted(lines) == [("stderr", "err"), ("stdout", "out")], lines)
    kubelet.remove(container)

    program = "trap 'echo over; exit 7' TERM; echo begun; while :; do sleep 1; done"
    container = kubelet.start(pod, "long", ["sh", "-c", program], memory=128 << 20)
    ended = kubelet.exec(container, "sh", "-c", "echo here; echo there >&2; exit 5")
    check("cri: exec at once", ended == (5, "here\n", "there\n"), ended)
    ended = kubelet.exec(container, "nosuch")
    check("cri: exec of no such program", ended[0] in (-1, 127) and ("not" in ended[1] + ended[2]), ended)
    network = kubelet.runtime.PodSandboxStatus(kubelet.api.PodSandboxStatusRequest(pod_sandbox_id=pod[1])).status.network
    ended = kubelet.exec(container, "sh", "-c", "busybox ip -o -4 address; busybox hostname; cat /etc/hostname")
    check("cri: the pod's address and name", f"inet {network.ip}/" in ended[1] and ended[1].endswith("single\nsingle\n"), ended)
    shown = kubelet.on_terminal(container, ["sh"], "stty size\nexit 6\n")
    check("cri: exec on a terminal", "30 100" in shown and '"message":"6"' in shown.replace(" ", ""), shown)
    stats = kubelet.runtime.ContainerStats(kubelet.api.ContainerStatsRequest(container_id=container)).stats
    check("cri: stats", stats.memory.working_set_bytes.value > 0 and stats.cpu.usage_core_nano_seconds.value > 0, stats)
    kubelet.stop(container, 60)
    code, lines = kubelet.exit_code(container), kubelet.log("long")
    check("cri: stop, and the program's own end", code == 7 and lines == [("stdout", "begun"), ("stdout", "over")], (code, lines))

    container = kubelet.start(pod, "deaf", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    kubelet.exec(container, "true")
    kubelet.stop(container, 1)
    code = kubelet.exit_code(container)
    check("cri: stop of a program that does not listen", code == 137, code)
    words = kubelet.start(pod, "none", ["nosuch"])
    check("cri: no such program", "not found" in words, words)
    kubelet.stop_pod(pod)

    # Each container of such a pod is a machine of its own, and the sandbox is runc's.
    pod = kubelet.start_pod("apart", {"martlet.pod": "off"})
    container = kubelet.start(pod, "alone", ["sh", "-c", "busybox hostname; exit 9"])
    code, lines = kubelet.exit_code(container), kubelet.log("alone")
    check("cri: a machine for the container alone", code == 9 and lines == [("stdout", "apart")], (code, lines))
    kubelet.stop_pod(pod)


def knock(neighbour, target, port):
    """Sends a neighbour's interface a TCP SYN for any address. Gives the flags of the answer, None where there is none."""
    route = Answer(["ip", "-o", "route", "get", neighbour]).out.split()
    device, own = route[route.index("dev") + 1], route[route.index("src") + 1]
    hardware = bytes.fromhex(re.search("lladdr (\\S+)", Answer(["ip", "neigh", "show", neighbour]).out)[1].replace(":", ""))

    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total & 0xffff) + (total >> 16)
        return struct.pack("!H", ~(total + (total >> 16)) & 0xffff)

    addresses = socket.inet_aton(own) + socket.inet_aton(target)
    segment = struct.pack("!HHIIBBHHH", 40404, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
    segment = segment[:16] + checksum(addresses + struct.pack("!HH", 6, 20) + segment) + segment[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + addresses
    header = header[:10] + checksum(header) + header[12:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as link:
        link.bind((device, 0x0800))
        link.send(hardware + link.getsockname()[4] + b"\x08\x00" + header + segment)
        end = time.monotonic() + 5
        while (left := end - time.monotonic()) > 0:
            link.settimeout(left)
            try:
                frame = link.recv(2048)
            except socket.timeout:
                break
            if frame[:6] == link.getsockname()[4] and frame[26:30] == socket.inet_aton(target) and frame[36:38] == segment[:2]:
                return frame[47]
    return None


def check_pod(kubelet):
    """Containers that share the machine of their pod."""
    pod = kubelet.start_pod("trio")
    program = ("trap 'echo over; exit 7' TERM; busybox httpd -p 127.0.0.1:8080 -h /bin; echo note > /dev/shm/note; echo begun; "
               "sleep 100000 & wait")
    server = kubelet.start(pod, "server", ["sh", "-c", program])
    program = ("until busybox wget -q -O /got http://127.0.0.1:8080/busybox 2>/dev/null; do sleep 1; done; busybox cmp /got /bin/busybox; "
               "cat /dev/shm/note; busybox hostname; test -e /here && echo dirty; echo x > /here; echo $$; exit 3")
    for attempt in range(2):
        asker = kubelet.start(pod, "asker", ["sh", "-c", program], attempt=attempt)
        code, lines = kubelet.exit_code(asker), [text for _, text in kubelet.log("asker", attempt)]
        check(f"cri: a second container of the pod, run {attempt}", code == 3 and lines == ["note", "trio", "1"], (code, lines))
        kubelet.remove(asker)
    # As containerd's PortForward does.
    status = kubelet.runtime.PodSandboxStatus(kubelet.api.PodSandboxStatusRequest(pod_sandbox_id=pod[1], verbose=True))
    network = f"--net=/proc/{json.loads(status.info['info'])['pid']}/ns/net"
    ended = Answer(["nsenter", network, "busybox", "wget", "-q", "-O", f"{folder}/forwarded", "http://127.0.0.1:8080/busybox"])
    check("cri: a forwarded port of the pod's localhost", ended.status == 0 and filecmp.cmp(f"{folder}/forwarded", f"{folder}/tree/bin/busybox", False), ended)
    ended = Answer(["timeout", "10", "busybox", "wget", "-q", "-O", "-", f"http://{status.status.network.ip}:8080/busybox"])
    check("cri: others do not reach it", ended.status not in (0, 124) and "refused" in ended.errors, ended)
    answers = [knock(status.status.network.ip, target, 8080) for target in (status.status.network.ip, "127.0.0.1")]
    check("cri: nor by a frame that names it", answers == [20, None], answers)  # RST and ACK
    third = kubelet.start(pod, "third", ["sh", "-c", "trap 'exit 4' TERM; sleep 100000 & wait"])
    boots = [kubelet.exec(container, "cat", "/proc/sys/kernel/random/boot_id") for container in (server, third)]
    check("cri: one machine for the pod", boots[0] == boots[1] and boots[0][0] == 0, boots)
    ended = kubelet.exec(third, "sh", "-c", "busybox ps | busybox grep -c '[h]ttpd'; exit 5")
    check("cri: processes of one's own", ended[:2] == (5, "0\n"), ended)
    hungry = kubelet.start(pod, "hungry", ["busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"],
                           memory=32 << 20)
    code = kubelet.exit_code(hungry)
    check("cri: a limit of memory in the guest", code == 137, code)
    kubelet.remove(hungry)
    for attempt in range(8):
        deaf = kubelet.start(pod, "deaf", ["sleep", "1000"], attempt=10 + attempt)
        kubelet.exec(deaf, "true")
        kubelet.stop(deaf, 0)
        code = kubelet.exit_code(deaf)
        kubelet.remove(deaf)
        if code != 137:
            break
    check("cri: more containers than places, one after the other", code == 137, (code, kubelet.log("deaf", 10 + attempt)))
    crowd = [kubelet.start(pod, f"crowd{number}", ["sleep", "1000"]) for number in range(6)]
    code, lines = kubelet.exit_code(crowd[5]), kubelet.log("crowd5")
    check("cri: more containers than places at once", code == 125 and "places for 7 containers" in str(lines), (code, lines))
    ends = [kubelet.exec(container, "true")[0] for container in crowd[:5]]
    check("cri: as many as there are places", ends == [0] * 5, ends)
    kubelet.stop(third, 60)
    kubelet.stop(server, 60)
    codes = kubelet.exit_code(third), kubelet.exit_code(server)
    check("cri: each has its own end", codes == (4, 7), codes)
    lines = kubelet.log("server")
    check("cri: each has its own log", lines == [("stdout", "begun"), ("stdout", "over")], lines)
    kubelet.stop_pod(pod)


def check_shared_processes(kubelet):
    """A pod whose containers see each other's processes, and the end of its machine."""
    pod = kubelet.start_pod("shared", shares_processes=True)
    first = kubelet.start(pod, "first", ["sh", "-c", "sleep 98765 & wait"])
    look = "busybox ps | busybox grep -q '[s]leep 98765'"
    second = kubelet.start(pod, "second", ["sh", "-c", f"until {look}; do sleep 1; done; exit 3"])
    code = kubelet.exit_code(second)
    check("cri: processes of the whole pod", code == 3, code)
    kubelet.stop(first, 0)
    code = kubelet.exit_code(first)
    check("cri: a container of such a pod is killed", code == 137, code)
    third = kubelet.start(pod, "third", ["sh", "-c", f"while {look}; do sleep 1; done; sleep 54321 & wait"])
    ended = kubelet.exec(third, "sh", "-c", "until busybox ps | busybox grep -q '[s]leep 54321'; do sleep 1; done; exit 5")
    check("cri: all its processes end with it", ended[0] == 5, ended)
    # The others, which are its containers' processes, end with it.
    pods = [number for number in machines() if " /m/templates " in open(f"/proc/{number}/mountinfo").read()]
    for number in pods:
        os.kill(number, signal.SIGKILL)
    code = kubelet.exit_code(third)
    check("cri: containers end with the pod's machine", code in (125, 137), code)
    kubelet.stop_pod(pod)


def check_validation_cases(kubelet):
    """Cases of Kubernetes' own validation of CRI (cri-tools, pkg/validate) that the functions above do not have."""
    api, runtime = kubelet.api, kubelet.runtime
    pod = kubelet.start_pod("valid")
    version = runtime.Version(api.VersionRequest(), timeout=60)
    check("cri: version", version.runtime_name == "containerd" and version.runtime_api_version, version)
    made = kubelet.create(pod, "made", ["sleep", "1000"], labels={"kind": "made"}, annotations={"note": "kept"})
    status = kubelet.status(made)
    check("cri: a created container and its attributes", status.state == api.CONTAINER_CREATED
          and (status.labels["kind"], status.annotations["note"], status.metadata.name) == ("made", "kept", "made"), status)
    kubelet.remove(made)
    check("cri: a created container is removed", made not in kubelet.ids())
    running = kubelet.start(pod, "running", ["sleep", "1000"], labels={"kind": "running"})
    check("cri: containers by label and by state",
          kubelet.ids(label_selector={"kind": "running"}) == [running]
          and running in kubelet.ids(state=api.ContainerStateValue(state=api.CONTAINER_RUNNING)), kubelet.ids())
    request = api.ListContainerStatsRequest(filter=api.ContainerStatsFilter(label_selector={"kind": "running"}))
    stats = runtime.ListContainerStats(request, timeout=60).stats
    check("cri: statistics by label", [each.attributes.id for each in stats] == [running], stats)
    ended = kubelet.exec(running, "sleep", "1000", patience=3)
    check("cri: ExecSync beyond its time", ended[0] == -1 and ("deadline" in ended[2] or "timeout" in ended[2]), ended)
    check("cri: a running container is removed", (kubelet.remove(running), running not in kubelet.ids())[1])
    talker = kubelet.start(pod, "talker", ["sh", "-c", "while :; do echo word; sleep 1; done"])
    wait("cri: the talker's first word", lambda: kubelet.log("talker"))
    os.rename(f"{kubelet.logs}/talker.0.log", f"{kubelet.logs}/rotated.0.log")
    runtime.ReopenContainerLog(api.ReopenContainerLogRequest(container_id=talker), timeout=60)
    check("cri: a log that is opened again", wait("cri: a word in the new log", lambda: kubelet.log("talker"))
          and set(kubelet.log("talker") + kubelet.log("rotated")) == {("stdout", "word")}, kubelet.log("talker"))
    kubelet.remove(talker)
    asked = kubelet.start(pod, "asked", ["sh"], tty=True, stdin=True)
    seen = kubelet.on_terminal(asked, None, "stty size\nexit 6\n")
    check("cri: attach", "30 100" in seen and kubelet.exit_code(asked) == 6, seen)
    kubelet.remove(asked)
    pods = [runtime.ListPodSandbox(api.ListPodSandboxRequest(filter=api.PodSandboxFilter(
        id=pod[1], state=api.PodSandboxStateValue(state=state))), timeout=60).items for state in (api.SANDBOX_READY, api.SANDBOX_NOTREADY)]
    check("cri: pods by state", [len(found) for found in pods] == [1, 0], pods)

    def shown(name, command, context):
        container = kubelet.start(pod, name, ["sh", "-c", command], context=context)
        code, lines = kubelet.exit_code(container), [text for _, text in kubelet.log(name)]
        kubelet.remove(container)
        return code, lines

    number = api.Int64Value
    who = "echo $(busybox id -u) $(busybox id -g) $(busybox id -G)"
    answer = shown("user", who, {"run_as_user": number(value=1001), "run_as_group": number(value=1002)})
    check("cri: RunAsUser and RunAsGroup", answer[1] == ["1001 1002 1002"], answer)
    answer = shown("username", who, {"run_as_username": "box"})
    check("cri: RunAsUserName", answer[1] == ["1234 1235 1235"], answer)
    answer = shown("groups", who, {"supplemental_groups": [1234, 5678]})
    check("cri: SupplementalGroups", answer[1][0].split()[:2] == ["0", "0"] and {"1234", "5678"} <= set(answer[1][0].split()), answer)
    try:
        words = kubelet.create(pod, "group", ["true"], context={"run_as_group": number(value=1002)})
    except kubelet.problem as error:
        words = error.details()
    check("cri: RunAsGroup without RunAsUser is refused", "user" in words, words)
    answer = shown("readonly", "echo x > /here", {"readonly_rootfs": True})
    check("cri: ReadOnlyRootfs", answer[0] != 0 and "Read-only file system" in str(answer), answer)
    capabilities = "busybox grep CapBnd /proc/self/status | busybox tr '\\t' ' '"
    bounds = {name: int(shown(f"caps-{name.lower()}", capabilities, {"capabilities": api.Capability(**words)})[1][0].split()[1], 16)
              for name, words in (("plain", {}), ("ADDED", {"add_capabilities": ["NET_ADMIN"]}),
                                  ("DROPPED", {"drop_capabilities": ["NET_RAW"]}), ("NONE", {"drop_capabilities": ["ALL"]}),
                                  ("ALL", {"add_capabilities": ["ALL"]}))}
    plain = bounds["plain"]
    check("cri: capabilities", plain & 1 << 13 and not plain & 1 << 12 and bounds["ADDED"] == plain | 1 << 12
          and bounds["DROPPED"] == plain & ~(1 << 13) and bounds["NONE"] == 0 and bounds["ALL"] & plain == plain
          and bounds["ALL"] != plain, bounds)
    answers = [shown(f"privileges{value}", "busybox grep NoNewPrivs /proc/self/status", {"no_new_privs": value})[1] for value in (True, False)]
    answer = shown("seccomp", "busybox awk '/Seccomp:/ {print $2}' /proc/self/status", {"seccomp": api.SecurityProfile(profile_type=api.SecurityProfile.RuntimeDefault)})
    check("cri: containerd's own seccomp profile", answer == (0, ["2"]), answer)
    profile = write("profile.json", json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
    answer = shown("profile", "busybox mkdir /folder", {"seccomp": api.SecurityProfile(
        profile_type=api.SecurityProfile.Localhost, localhost_ref=profile)})
    check("cri: a seccomp profile of one's own", answer[0] == 1 and "not permitted" in str(answer[1]), answer)
    answer = shown("paths", "cat /proc/version; busybox ls /etc; echo x > /bin/x",
                   {"masked_paths": ["/proc/version", "/etc", "/nosuch"], "readonly_paths": ["/bin"]})
    check("cri: masked and read-only paths", answer[0] != 0 and len(answer[1]) == 1 and "Read-only file system" in answer[1][0], answer)
    check("cri: NoNewPrivs", [lines[0].split()[1] for lines in answers] == ["1", "0"], answers)
    kubelet.stop_pod(pod)

    named = {"dns_config": api.DNSConfig(servers=["10.10.10.10"], searches=["google.com"], options=["ndots:8"])}
    pod = kubelet.start_pod("named", settings={"kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "100"}, **named)
    container = kubelet.start(pod, "look", ["sleep", "1000"])
    answer = kubelet.exec(container, "cat", "/etc/resolv.conf")
    check("cri: DNS", all(f"{line}\n" in answer[1] for line in ("search google.com", "nameserver 10.10.10.10", "options ndots:8")), answer)
    answer = kubelet.exec(container, "cat", "/proc/sys/kernel/shm_rmid_forced", "/proc/sys/fs/mqueue/msg_max")
    check("cri: sysctls of a pod", answer[1] == "1\n100\n", answer)
    kubelet.stop_pod(pod)

    pod = kubelet.start_pod("privileged", privileged=True)
    answer = shown("privileged", "busybox hostname other && echo 1 > /proc/sys/kernel/panic && busybox grep -c 'Seccomp:.0' /proc/self/status",
                   {"privileged": True})
    check("cri: a privileged container", answer == (0, ["1"]), answer)
    kubelet.stop_pod(pod)


def run_many():
    call = make_podman(None)
    for _ in range(20):
        ended = Answer([*call, "run", "--rm", "--network", "none", "box", "true"])
        if ended.status:
            check("twenty in sequence", False, ended)
            break
    else:
        check("twenty in sequence", True)
    words = [*call, "run", "--rm", "--network", "none", "box", "sh", "-c"]
    together = [subprocess.Popen([*words, f"exit {number}"], stderr=subprocess.DEVNULL) for number in range(10)]
    statuses = [child.wait() for child in together]
    check("ten at once", statuses == list(range(10)), statuses)
    check_nothing_left("many")


def remove_all(folder):
    """Removes what a run has left, with the processes of engines that were killed."""
    own = machines(folder)
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline") as file:
                is_own = folder in file.read() and int(number) != os.getpid()
            if is_own or int(number) in own:
                os.kill(int(number), signal.SIGKILL)
        except OSError:
            pass
    for line in reversed(open("/proc/self/mountinfo").readlines()):
        if folder in line.split()[4]:
            subprocess.run(["umount", "-l", line.split()[4]])
    for name in states(folder):
        shutil.rmtree(f"/run/martlet-oci/{name}", ignore_errors=True)
    end = time.monotonic() + 10
    while not all(remove_group(f"/sys/fs/cgroup/{kind}/{os.path.basename(folder)}") for kind in os.listdir("/sys/fs/cgroup")):
        if time.monotonic() > end:
            print(f"control groups of {folder} are left", flush=True)
            break
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def remove_group(path):
    """Removes a control group and those in it. Gives False where one has processes still."""
    for group, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(group)
        except OSError:
            return False
    return True


def lock(path):
    """Locks a run's folder for as long as this process lives; None where another one has it."""
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    except BlockingIOError:
        os.close(file)


def remove_lost():
    """Removes what runs that were killed have left."""
    groups = [name for kind in os.listdir("/sys/fs/cgroup") for name in os.listdir(f"/sys/fs/cgroup/{kind}")]
    for name in sorted({*os.listdir("/var/tmp"), *groups}):
        path = f"/var/tmp/{name}"
        if not name.startswith("martlet-engines-") or path == folder:
            continue
        try:
            # One of this minute may be about to be locked.
            is_lost = os.stat(path).st_mtime < time.time() - 60 and lock(path) is not None
        except FileNotFoundError:
            is_lost = True
        if is_lost:
            print(f"removing {path}, of a run that was killed", flush=True)
            remove_all(path)


def main():
    # Held as long as this process lives.
    held = lock(folder)
    if held is not None:
        remove_lost()
    os.makedirs(f"{folder}/tree/bin")
    os.makedirs(f"{folder}/tree/etc")
    write("tree/etc/passwd", "box:x:1234:1235::/:/bin/sh\n")
    os.makedirs(f"{folder}/copied")
    write("copied/file", "text\n")
    write("copied/put", "put\n")
    shutil.copy(shutil.which("busybox"), f"{folder}/tree/bin/busybox")
    for name in ("sh", "cat", "sleep", "stty", "true", "wc"):
        os.symlink("busybox", f"{folder}/tree/bin/{name}")
    subprocess.run(["tar", "-C", f"{folder}/tree", "-cf", f"{folder}/tree.tar", "."], check=True)
    for words in ("link set lo up", "link add eth0 type veth peer name other", "address add 192.0.2.1/24 dev eth0",
                  "link set eth0 up"):
        subprocess.run(["ip", *words.split()], check=True)
    try:
        for part in parts:
            print(part, flush=True)
            {"podman": run_podman, "crun": run_crun, "docker": run_docker,
             "killed": run_killed, "swarm": run_swarm, "ctr": run_ctr, "cri": run_cri, "many": run_many}[part]()
    finally:
        for process in reversed(started):
            if process.poll() is None:
                process.terminate()
                process.wait()
        remove_all(folder)
    print(f"{len(failures)} failed" if failures else "all passed")
    sys.exit(bool(failures))


if os.environ.get("MARTLET_ENGINES_INSIDE") is None:
    shutil.rmtree(folder)
    os.environ["MARTLET_ENGINES_INSIDE"] = "1"
    if "cri" in parts:
        make_stubs()
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
main()
