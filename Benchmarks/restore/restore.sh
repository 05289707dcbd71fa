#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# restore.sh [COUNT]: the time from the start of a process to its first byte, in turns, of a static program that says hello:
# as a process, by `crun run`, and as a machine that is restored from a snapshot taken just before its write (waiting) or in
# the middle of its output (writing), which leaves out the guest's own way to its console; then the time to the end of
# `crun run -d`, and of a restore of the waiting one into the background with an answer over its socket. Run it as root, on a
# quiet machine, after `make build guest-images`; docs/performance.md has results.
# MARTLET names the command, RT= (empty) leaves out `chrt -f 50`.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
count=${1:-25}
martlet=${MARTLET:-$source/.build/release/martlet}
work=$(mktemp -d /var/tmp/martlet-restore-XXXXXX)
export MARTLET_RUNTIME_DIR=$work/machines
cleanup() {
    "$martlet" rm --force --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT
read -ra realtime <<<"${RT-chrt -f 50}"

gcc -O2 -static -nostdlib -ffreestanding -fno-stack-protector -o "$work/hello" "$here/hello.c"
gcc -O2 -o "$work/first-byte" -D_GNU_SOURCE "$source/Benchmarks/Sources/first-byte/main.c"

# A machine: the program is its first process, in an archive of three entries.
entry() { # PATH MODE MAJOR MINOR [FILE]
    local size=0
    [[ -n ${5-} ]] && size=$(stat -c %s "$5")
    printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\0' \
        $((++inode)) "$2" 0 0 1 0 "$size" 0 0 "$3" "$4" $((${#1} + 1)) 0 "$1"
    head -c $(((4 - (110 + ${#1} + 1) % 4) % 4)) /dev/zero
    [[ -z ${5-} ]] || cat "$5"
    head -c $(((4 - size % 4) % 4)) /dev/zero
}
mkdir -m 700 "$work/machines"
for kind in waiting writing; do
    inode=0
    {
        entry dev 0x41ed 0 0
        entry dev/console 0x2180 5 1
        entry "hello-$kind" 0x81a4 0 0
        entry init 0x81ed 0 0 "$work/hello"
        entry 'TRAILER!!!' 0 0 0
    } >"$work/initrd-$kind"
    "$martlet" run "$source/guest-images/build/vmlinux" --initrd "$work/initrd-$kind" \
        --cmdline "quiet $(cat "$source/guest-images/build/cmdline-interpreting")" --name "$kind" --detach >/dev/null
done
sleep "${BOOT_SECONDS:-60}"
# A save comes at a random moment of an output, most of which is the kernel's way to the port: of several, the one closest
# before a byte.
best=
for number in $(seq 40); do
    "$martlet" snapshot save writing "$work/writing-$number" >/dev/null
    least=$("${realtime[@]}" "$work/first-byte" 3 -- "$martlet" run --restore "$work/writing-$number" --same-identity |
        awk '{ print int($4 * 100) }')
    if [[ -z $best ]] || ((least < best)); then
        best=$least
        rm -rf "$work/writing"
        mv "$work/writing-$number" "$work/writing"
    else
        rm -rf "$work/writing-$number"
    fi
done
"$martlet" kill writing >/dev/null
"$martlet" snapshot save waiting "$work/waiting" --stop >/dev/null
sleep 3

# A container: the same program, no cgroups, as little as crun takes.
mkdir -p "$work"/bundle/rootfs/{dev,proc,sys}
cp "$work/hello" "$work/bundle/rootfs/hello"
cat >"$work/bundle/config.json" <<'JSON'
{"ociVersion": "1.0.0", "root": {"path": "rootfs", "readonly": true}, "mounts": [],
 "process": {"terminal": false, "user": {"uid": 0, "gid": 0}, "args": ["/hello"], "cwd": "/"},
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]}}
JSON

crun=(crun --cgroup-manager=disabled --root "$work/crun" run --bundle "$work/bundle")
# crun refuses a host with both kinds of cgroups; in a mount namespace of its own there is one.
measure() {
    unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"' sh "${realtime[@]}" "$work/first-byte" "$@"
}
measure "$count" -- "$work/hello" -- "${crun[@]}" hello%d \
    -- "$martlet" run --restore "$work/writing" --same-identity -- "$martlet" run --restore "$work/waiting" --same-identity
measure --end "$martlet rm --force --all >/dev/null" "$MARTLET_RUNTIME_DIR/hello%d/api.sock" "$count" -- "${crun[@]}" --detach detached%d \
    -- "$martlet" run --restore "$work/waiting" --same-identity --name hello%d --detach
