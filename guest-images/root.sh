#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds build/root.ext4, the default guest's root file system: our init, Debian's busybox with all its names, a few files in
# /etc. Needs no root rights: mke2fs copies a folder, debugfs gives the files to root. The same inputs give the same bytes.
set -euo pipefail
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=guest-images/files.sh
source "$guest_images/files.sh"

# In /sbin on many machines, which is not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
need_packages mke2fs:e2fsprogs debugfs:e2fsprogs
need_busybox

text() { cat >"tree/$1"; }

fill_tree() {
    local name
    rm -rf tree
    # Folders that init mounts on exist already: a mkdir at boot costs more.
    mkdir -p tree/{bin,dev,etc,home,mnt,proc,root,run,sbin,sys,tmp,usr/{bin,sbin},var/{log,tmp}}
    install -m 755 init tree/sbin/init
    install -m 755 "$busybox" tree/bin/busybox
    # All applets in /bin: for scripts' first lines and for programs that start others. On a disk names cost nothing.
    for name in $("$busybox" --list); do [[ $name == busybox || $name == init ]] || ln -s busybox "tree/bin/$name"; done
    for name in poweroff reboot halt; do ln -s ../bin/busybox "tree/sbin/$name"; done
    ln -s ../../bin/busybox tree/usr/bin/env
    settings
    # What mke2fs copies: times, and the rights that a umask may have taken.
    find tree -type d -exec chmod 755 {} +
    find tree -exec touch -h -d @0 {} +
    chmod 700 tree/root
    chmod 1777 tree/tmp tree/var/tmp
}

# A journal, so that a machine may be killed at any time; no checksums over metadata and no 64-bit block numbers, which cost
# an interpreted kernel time and give a disk of this size nothing.
make_file_system() { # IMAGE
    local uuid=6d617274-6c65-4074-8000-000000000001 path
    truncate -s 256M "$1"
    # shellcheck disable=SC2094 # the numbers of this time, for the superblock
    run_logged "writing the file system" env E2FSPROGS_FAKE_TIME=1 mke2fs -q -t ext4 -b 4096 -N 8192 -m 0 -L martlet \
        -O '^metadata_csum,^64bit,^resize_inode' -J size=4 -U "$uuid" \
        -E "root_owner=0:0,hash_seed=$uuid,lazy_itable_init=0,lazy_journal_init=0,nodiscard" -d tree "$1"
    # mke2fs keeps whoever owns the folder: give all to root, and no time of the making.
    (cd tree && find . -mindepth 1 -printf '/%P\n') | sort | while read -r path; do
        printf 'set_inode_field "%s" uid 0\nset_inode_field "%s" gid 0\n' "$path" "$path"
        printf 'set_inode_field "%s" ctime @1\nset_inode_field "%s" crtime @1\nset_inode_field "%s" atime @1\n' \
            "$path" "$path" "$path"
    done >owners
    run_logged "setting owners" env E2FSPROGS_FAKE_TIME=1 debugfs -w -f owners "$1"
    run_logged "checking it" e2fsck -f -n "$1"
}

build_root() {
    compile "$guest_images/init/init.c" init
    fill_tree
    make_file_system root.ext4
}

recipe=$(declare -f text fill_tree settings compile make_file_system build_root)
key=$(inputs_key "$guest_images/init/init.c" "$recipe" "$busybox" "$(toolchain)" "$(package_version e2fsprogs)")
provide root "$key" build_root root.ext4
