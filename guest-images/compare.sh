#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds what `martlet compare` runs, into build/: compare-subject (the program that is compared), compare-init (the first
# process of the machine), compare-data.ext4 (an empty disk of 256 MiB). Needs no root rights. Same inputs, same bytes.
set -euo pipefail
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=guest-images/files.sh
source "$guest_images/files.sh"

# In /sbin on many machines, which is not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
need_packages gcc:gcc ld:binutils mke2fs:e2fsprogs /usr/include/linux/timex.h:linux-libc-dev

build_compare() {
    local uuid=6d617274-6c65-4074-8000-000000000002
    compile "$guest_images/compare/subject.c" compare-subject
    compile "$guest_images/compare/init.c" compare-init
    truncate -s 256M compare-data.ext4
    # All inodes written: the kernel needs no thread that would write them while something is measured.
    run_logged "writing the empty disk" env E2FSPROGS_FAKE_TIME=1 mke2fs -q -t ext4 -b 4096 -I 256 -N 1024 -m 0 -L data \
        -J size=4 -U "$uuid" -E "hash_seed=$uuid,lazy_itable_init=0,lazy_journal_init=0,nodiscard" compare-data.ext4
}

recipe=$(declare -f compile build_compare)
key=$(inputs_key "$guest_images"/compare/* "$guest_images"/init/{freestanding,snapshot}.h "$recipe" "$(toolchain)" \
    "$(package_version e2fsprogs)")
provide compare "$key" build_compare compare-subject compare-init compare-data.ext4
