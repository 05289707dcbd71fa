#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds build/initramfs.cpio, a user space in memory: our init, Debian's busybox, a few files in /etc; and
# build/container.cpio, init and its agent alone, in which containers run.
# Uncompressed: an interpreted kernel should not unpack anything. Needs no root rights and no cpio program: the "newc"
# format is simple, and writing it here keeps owner, times and order fixed, so the same inputs give the same bytes.
set -euo pipefail
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=guest-images/files.sh
source "$guest_images/files.sh"

need_busybox

inode=0

# entry PATH MODE(octal, with file type) SIZE [MAJOR MINOR]: an archive header; SIZE bytes and `pad SIZE` follow.
entry() {
    local path=$1 mode=$2 size=$3 major=${4:-0} minor=${5:-0} links=1
    ((++inode))
    [[ $mode == 04* ]] && links=2
    # magic inode mode uid gid nlink mtime size, dev major minor, rdev major minor, name size with its NUL, check
    printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X' \
        "$inode" "$mode" 0 0 "$links" 0 "$size" 0 0 "$major" "$minor" $((${#path} + 1)) 0
    printf '%s\0' "$path"
    pad $((110 + ${#path} + 1))
}
pad() { head -c $(((4 - $1 % 4) % 4)) /dev/zero; }
folder() { entry "$1" 040755 0; }
device() { entry "$1" 020600 0 "$2" "$3"; }
link() {
    entry "$1" 0120777 ${#2}
    printf '%s' "$2"
    pad ${#2}
}
from_file() { # PATH MODE FILE
    local size
    size=$(stat -c %s "$3")
    entry "$1" "$2" "$size"
    cat "$3"
    pad "$size"
}
text() { # PATH, contents on standard input
    local contents
    contents=$(cat)$'\n'
    entry "$1" 0100644 ${#contents}
    printf '%s' "$contents"
    pad ${#contents}
}

archive() {
    # Folders that init mounts on exist here already: an entry costs less than a mkdir at boot.
    local path
    for path in bin dev etc proc root run sbin sys tmp usr usr/bin usr/sbin; do folder "$path"; done
    # The kernel opens the console for init before anything is mounted.
    device dev/console 5 1
    from_file init 0100755 init
    from_file bin/busybox 0100755 "$busybox"
    # Debian's busybox shell finds its own applets without links (FEATURE_SH_STANDALONE). Links are for scripts'
    # first lines, and for programs that start others by path; each costs boot time. `busybox --install -s` makes all.
    for path in bin/sh sbin/poweroff sbin/reboot sbin/halt; do link "$path" /bin/busybox; done
    link usr/bin/env /bin/busybox
    settings
    entry 'TRAILER!!!' 0 0
}
container_archive() {
    local path
    for path in dev etc proc root run sys tmp; do folder "$path"; done
    device dev/console 5 1
    from_file init 0100755 init
    entry 'TRAILER!!!' 0 0
}

build_initramfs() {
    compile "$guest_images/init/init.c" init
    say "$artefact: writing the archives"
    archive >initramfs.cpio
    inode=0
    container_archive >container.cpio
}

recipe=$(declare -f entry pad folder device link from_file text settings compile archive container_archive build_initramfs)
key=$(inputs_key "$guest_images"/init/* "$recipe" "$busybox" "$(toolchain)")
provide initramfs "$key" build_initramfs initramfs.cpio container.cpio
