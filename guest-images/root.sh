#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# root.sh [root|testing]...: builds build/root.ext4, the default guest's root file system: our init, Debian's busybox
# with all its names, a few files in /etc; build/testing.ext4 has what tests run in the guest too: programs of ours, and
# some of this machine's; build/agent is the guest's agent as a program that tests run on the host. The first when not told which. Needs no root rights: mke2fs
# copies a folder, debugfs gives the files to root. Same inputs, same bytes.
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
    # Folders that init mounts on exist already: a mkdir at boot costs more.
    mkdir -p tree/{bin,dev,etc,home,mnt,proc,root,run,sbin,sys,tmp,usr/{bin,sbin},var/{log,tmp}}
    install -m 755 init tree/sbin/init
    install -m 755 "$busybox" tree/bin/busybox
    # All applets in /bin: for scripts' first lines and for programs that start others. Hard links, because an inode each would
    # have the kernel read a larger inode table at boot.
    for name in $("$busybox" --list); do [[ $name == busybox || $name == init ]] || ln tree/bin/busybox "tree/bin/$name"; done
    for name in poweroff reboot halt; do ln tree/bin/busybox "tree/sbin/$name"; done
    ln tree/bin/busybox tree/usr/bin/env
    # A root that is read-only has its name server as well.
    ln -s /run/resolv.conf tree/etc/resolv.conf
    settings
}

# Instead of /etc/mke2fs.conf, which differs from machine to machine. A journal, because a machine may be killed at any
# time; checksums of the group descriptors (uninit_bg), because they tell how much of an inode table is in use, and the kernel reads no
# more of it ahead. Not here: checksums over other metadata, 64-bit block numbers, room for growing; they cost an interpreted kernel time
# and give a disk of this size nothing. An inode table that is all written saves the kernel a thread that would write it.
mke2fs_configuration='[fs_types]
ext4 = {
    features = ^resize_inode,has_journal,ext_attr,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,uninit_bg
}'

make_file_system() { # IMAGE
    local uuid=6d617274-6c65-4074-8000-000000000001 path
    # What mke2fs copies: times, and the rights that a umask may have taken.
    find tree -type d -exec chmod 755 {} +
    find tree -type f -exec chmod u=rwX,go=rX {} +
    chmod 700 tree/root
    chmod 1777 tree/tmp tree/var/tmp
    find tree -exec touch -h -d @1 {} +
    printf '%s\n' "$mke2fs_configuration" >mke2fs.conf
    truncate -s 256M "$1"
    run_logged "writing the file system" env MKE2FS_CONFIG=mke2fs.conf E2FSPROGS_FAKE_TIME=1 mke2fs -q -t ext4 -b 4096 \
        -I 256 -N 8192 -m 0 -L martlet -J size=4 -U "$uuid" \
        -E "root_owner=0:0,hash_seed=$uuid,lazy_itable_init=0,lazy_journal_init=0,nodiscard" -d tree "$1"
    # mke2fs keeps whoever owns the folder: give all to root, and no time of the making.
    # And no thread that reads block bitmaps ahead: of two groups, what is needed is read when it is.
    echo 'set_super_value mount_opts no_prefetch_block_bitmaps' >settings
    (cd tree && find . -mindepth 1 -printf '/%P\n') | sort | while read -r path; do
        printf 'set_inode_field "%s" %s\n' "$path" 'uid 0' "$path" 'gid 0' \
            "$path" 'ctime @1' "$path" 'crtime @1' "$path" 'atime @1'
    done >>settings
    run_logged "setting owners and options" env E2FSPROGS_FAKE_TIME=1 debugfs -w -f settings "$1"
    run_logged "checking it" e2fsck -f -n "$1"
}

build_root() {
    compile "$guest_images/init/init.c" init
    fill_tree
    make_file_system root.ext4
}
build_testing() {
    compile "$guest_images/init/init.c" init
    compile "$guest_images/testing/disktool.c" disktool
    compile "$guest_images/testing/agent.c" agent
    compile "$guest_images/testing/nettool.c" nettool
    fill_tree
    install -m 755 disktool nettool tree/bin/
    local file
    for file in "${network_tools[@]}"; do install -m 755 "$file" tree/bin/; done
    # The program that starts the others is one of these libraries: /lib64/ld-linux-x86-64.so.2.
    libraries_of "${network_tools[@]}" | while read -r file; do install -D -m 755 "$file" "tree$file"; done
    make_file_system testing.ext4
}

# libraries_of PROGRAM...: the paths of all libraries that they need.
libraries_of() { ldd "$@" | grep -o '\s/[^ :]*' | tr -d '[:blank:]' | sort -u; }

recipe=$(declare -f text fill_tree settings compile make_file_system build_root)$mke2fs_configuration
inputs=("$guest_images"/init/* "$recipe" "$busybox" "$(toolchain)" "$(package_version e2fsprogs)")
(($# > 0)) || set -- root
for kind in "$@"; do
    case $kind in
    root) provide root "$(inputs_key "${inputs[@]}")" build_root root.ext4 ;;
    testing)
        need_packages dropbear:dropbear-bin dropbearkey:dropbear-bin iperf3:iperf3 socat:socat
        mapfile -t network_tools < <(command -v dropbear dropbearkey iperf3 socat)
        mapfile -t libraries < <(libraries_of "${network_tools[@]}")
        key=$(inputs_key "${inputs[@]}" "$(declare -f build_testing libraries_of)" "$guest_images"/testing/* \
            "${network_tools[@]}" "${libraries[@]}")
        provide testing "$key" build_testing testing.ext4 agent
        ;;
    *)
        printf 'usage: root.sh [root|testing]...\n' >&2
        exit 64
        ;;
    esac
done
