# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What both kinds of user space consist of, the initramfs and the disk: sourced by initramfs.sh and root.sh, which bring
# `text PATH` (contents on standard input) with them.

need_busybox() {
    need_packages gcc:gcc ld:binutils busybox:busybox-static /usr/include/linux/input.h:linux-libc-dev
    busybox=$(command -v busybox)
    if readelf -l "$busybox" | grep -q INTERP; then
        fail "$busybox is not static; as root: apt-get install --no-install-recommends busybox-static"
    fi
}

# compile SOURCE PROGRAM: freestanding. -Os and no separate code pages: all of init is seven pages, of which it touches three while nobody asks its agent.
compile() {
    run_logged "compiling $2" gcc -std=gnu11 -Wall -Wextra -Werror -Os -static -nostdlib -ffreestanding \
        -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-pie -no-pie \
        -Wl,--build-id=none -Wl,-z,noseparate-code -s -o "$2" "$1"
}

settings() {
    text etc/passwd <<<'root:x:0:0:root:/root:/bin/sh'
    text etc/group <<<$'root:x:0:\ntty:x:5:'
    text etc/hostname <<<'martlet'
}
