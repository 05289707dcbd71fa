#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills martlet-runtime at random moments of each command, empties /run, damages templates, and looks at what is left.

    scripts/test-moments.py RUNTIME [COUNT [SEED]]

Each of create, start, exec and delete is killed COUNT times (30); then `delete --force` has to remove all, and the same id has to
serve again. It needs root, runc, busybox-static, e2fsprogs and iproute2, and no engine. A check that fails is printed, and the
exit status is 1.
"""

import json, os, random, shutil, signal, subprocess, sys, tempfile, time

runtime = os.path.realpath(sys.argv[1])
count = int(sys.argv[2]) if len(sys.argv) > 2 else 30
seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
folder = tempfile.mkdtemp(prefix="martlet-moments-", dir="/var/tmp")
name = os.path.basename(folder)
environment = dict(os.environ, XDG_CACHE_HOME=f"{folder}/cache")
cache = f"{folder}/cache/martlet"
call = [runtime, "--root", f"{folder}/state"]
failures = []
PATIENCE = 200


def check(what, holds, shown=""):
    if not holds:
        failures.append(what)
    print(f"  {'ok    ' if holds else 'FAILED'} {what}{'' if holds else f': {shown}'}", flush=True)


class Answer:
    def __init__(self, *words, kill_after=None):
        """Runs a command of the runtime, which is killed after a time in seconds where one is given."""
        # Files: what outlives a process that is killed keeps its streams.
        with open(f"{folder}/out", "w+") as out, open(f"{folder}/errors", "w+") as errors:
            begin = time.monotonic()
            process = subprocess.Popen([*call, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=environment)
            try:
                self.status = process.wait(PATIENCE if kill_after is None else kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
                self.status = process.wait()
            self.seconds = time.monotonic() - begin
            with open(out.name) as out, open(errors.name) as errors:
                self.out, self.errors = out.read(), errors.read()

    def __repr__(self):
        return f"status {self.status}, {self.out[-300:]!r}, {self.errors[-300:]!r}"


def make_bundle():
    os.makedirs(f"{folder}/bundle/rootfs/bin")
    shutil.copy(shutil.which("busybox"), f"{folder}/bundle/rootfs/bin/busybox")
    for program in ("sh", "sleep", "true"):
        os.symlink("busybox", f"{folder}/bundle/rootfs/bin/{program}")
    subprocess.run(["ip", "netns", "add", name], check=True)
    for words in (f"link add veth-m netns {name} type veth peer name eth0 netns {name}",
                  f"-n {name} address add 192.0.2.1/24 dev eth0", f"-n {name} link set eth0 up"):
        subprocess.run(["ip", *words.split()], check=True)
    namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    namespaces.append({"type": "network", "path": f"/run/netns/{name}"})
    with open(f"{folder}/bundle/config.json", "w") as file:
        json.dump({
            "ociVersion": "1.0.2", "hostname": "box", "root": {"path": "rootfs"},
            "process": {"args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": namespaces, "cgroupsPath": f"/{name}/box"},
        }, file)
    with open(f"{folder}/process.json", "w") as file:
        json.dump({"args": ["true"], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}}, file)


def own_processes():
    """Those of this script's containers, and those that have its folder on their command lines."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline") as file:
                words = file.read()
            with open(f"/proc/{number}/mountinfo") as file:
                is_inside = (os.readlink(f"/proc/{number}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
                             and folder in file.read())
            if number != str(os.getpid()) and (is_inside or folder in words):
                found.append((number, words[:100]))
        except OSError:
            pass
    return found


def own_mounts():
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if folder in line]


def own_cgroups():
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"/{name}/" in path]


def own_states():
    found = []
    for state in os.listdir("/run/martlet-oci") if os.path.exists("/run/martlet-oci") else []:
        for path, _, files in os.walk(f"/run/martlet-oci/{state}"):
            for file in files:
                try:
                    with open(f"{path}/{file}") as text:
                        if name in text.read(1 << 20):
                            found.append(state)
                except (OSError, UnicodeDecodeError):
                    pass
    return sorted(set(found))


def taps():
    return [line for line in subprocess.run(["ip", "-n", name, "-o", "link"], stdout=subprocess.PIPE, text=True,
                                            check=True).stdout.splitlines() if "martlet" in line]


def drafts():
    return [path for path in os.listdir(f"{cache}/images") if path.startswith(("scratch-", ".draft-"))]


def leftovers():
    found = {
        "processes": own_processes(), "mounts": own_mounts(), "cgroups": own_cgroups(), "states": own_states(),
        "TAPs": taps(), "the runtime's folders": os.listdir(f"{folder}/state") if os.path.exists(f"{folder}/state") else [],
    }
    return {kind: things for kind, things in found.items() if things}


def create(**options):
    return Answer("create", "--bundle", f"{folder}/bundle", "--pid-file", f"{folder}/pid", "box", **options)


def execute(**options):
    return Answer("exec", "--process", f"{folder}/process.json", "box", **options)


def start(**options):
    return Answer("start", "box", **options)


def remove_by_force(**options):
    return Answer("delete", "--force", "box", **options)


def is_removed(what):
    """Removes the container by force, and looks whether anything is left."""
    ended = remove_by_force()
    if ended.status:
        check(what, False, ended)
        return False
    # A template that is being made is no container's.
    end = time.monotonic() + 30
    while leftovers() and time.monotonic() < end:
        time.sleep(0.1)
    if leftovers():
        check(what, False, leftovers())
        return False
    return True


def kill_at_moments(what, prepare, act, expected):
    print(f"{what}, killed {count} times", flush=True)
    times = []
    for _ in range(3):
        prepare()
        ended = act()
        if ended.status:
            check(what, False, ended)
        times.append(ended.seconds)
        if not is_removed(f"{what} that was not killed"):
            return
    # The others end first.
    longest = sorted(times)[1]
    holds, killed = True, 0
    for _ in range(count):
        moment = random.uniform(0, longest)
        prepare()
        ended = act(kill_after=moment)
        killed += ended.status == -signal.SIGKILL
        title = f"{what}, killed after {1000 * moment:.1f} ms"
        holds = is_removed(title) and holds
        made, started = create(), start()
        if made.status or started.status:
            check(f"{title}: the same id again", False, (made, started))
            holds = False
        if expected and execute().status:
            check(f"{title}: a program in it", False)
            holds = False
        holds = is_removed(f"{title}: the same id again") and holds
        if not holds:
            break
    check(f"{what}: {killed} of {count} were killed within {1000 * longest:.0f} ms; nothing was left", holds)


def run_moments():
    def created():
        made = create()
        if made.status:
            check("create", False, made)

    def running():
        created()
        started = start()
        if started.status:
            check("start", False, started)

    kill_at_moments("create", lambda: None, create, False)
    kill_at_moments("start", created, start, True)
    kill_at_moments("delete", running, remove_by_force, False)

    def ready():
        running()
        if execute().status:
            check("exec", False)

    kill_at_moments("exec", ready, execute, True)


def run_reboot():
    print("a reboot, after which /run is empty", flush=True)
    create(), start()
    with open(f"{folder}/pid") as file:
        os.kill(int(file.read()), signal.SIGKILL)
    for state in own_states():
        shutil.rmtree(f"/run/martlet-oci/{state}")
    shutil.rmtree(f"{folder}/state")
    asked = Answer("state", "box")
    check("state: the container does not exist", asked.status and "does not exist" in asked.errors, asked)
    check("delete --force", remove_by_force().status == 0)
    made, started = create(), start()
    check("create and start", made.status == 0 and started.status == 0, (made, started))
    check("nothing is left", is_removed("after a reboot"))


def run_templates():
    templates = f"{cache}/templates"

    def state():
        return next(f"{templates}/{entry}" for entry in os.listdir(templates) if os.path.exists(f"{templates}/{entry}/state"))

    def shorten(path):
        os.truncate(path, os.path.getsize(path) // 2)

    def garble(path):
        with open(path, "r+b") as file:
            for _ in range(200):
                file.seek(random.randrange(os.path.getsize(path)))
                file.write(random.randbytes(1))

    print("templates that are damaged", flush=True)
    for damage in (shorten, garble, os.unlink):
        for file in ("memory", "state"):
            path = f"{state()}/{file}"
            damage(path)
            made, started = create(), start()
            ended = execute()
            check(f"{damage.__name__} {file}: the container runs",
                  not (made.status or started.status or ended.status), (made, started, ended))
            is_removed("its container")
            verified = subprocess.run([f"{os.path.dirname(runtime)}/martlet", "snapshot", "verify", state()],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            check(f"{damage.__name__} {file}: the template was made again", verified.returncode == 0, verified.stdout)


def main():
    random.seed(seed)
    print(f"seed {seed}")
    try:
        make_bundle()
        # The first one waits for a template.
        created, started, ended = create(), start(), execute()
        check("create, start, exec", not (created.status or started.status or ended.status), (created, started, ended))
        is_removed("the first container")
        run_moments()
        run_reboot()
        run_templates()
        check("no draft is left in the cache", not drafts(), drafts())
    finally:
        remove_by_force()
        for number, _ in own_processes():
            try:
                os.kill(int(number), signal.SIGKILL)
            except OSError:
                pass
        for path in sorted(own_cgroups() + [f"{path}/{name}" for path in
                           (entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir())], key=len, reverse=True):
            try:
                os.rmdir(path)
            except OSError:
                pass
        subprocess.run(["ip", "netns", "del", name])
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(failures)} failed; seed {seed}" if failures else "all passed")
    sys.exit(bool(failures))


main()
