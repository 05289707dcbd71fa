#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that building and testing Martlet need, and those that are named; nothing where all are there.
set -euo pipefail

packages=(
    # The library and the command: KVM's headers, and what a bzImage may be compressed with; JSON.
    linux-libc-dev liburing-dev zlib1g-dev liblzma-dev libbz2-dev liblz4-dev libzstd-dev
    # The guest: kernel and user space, and what builds them.
    linux-source-6.1 busybox-static gcc binutils libc6-dev make flex bison bc perl libelf-dev
    gzip xz-utils bzip2 lz4 lzop zstd e2fsprogs
    # The tests and checks.
    acpica-tools shellcheck iproute2 iptables iputils-ping netavark podman runc
    # Networks of guests: tools for both sides.
    dropbear-bin iperf3 openssh-client socat tcpdump curl
    # Networks for machines without rights on the host.
    passt
    # The benchmarks, with their peers; the container of `martlet compare`.
    fio qemu-system-x86 crun
    "$@"
)

command -v swift >/dev/null || {
    echo "martlet: there is no Swift toolchain: install Swift 6.3 or later from https://swift.org/install" >&2
    exit 1
}

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "martlet: installing ${missing[*]}"
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
