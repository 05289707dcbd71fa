#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds build/bzImage-{gzip,bzip2,lzma,xz,lzo,lz4,zstd}: the one-vCPU kernel of kernel.sh in the form that distributions
# ship, once with each compression that Linux knows, for tests and benchmarks; build/bzImage is the zstd one.
# Nothing of the kernel proper is compiled again: only the loader around it, arch/x86/boot.
set -euo pipefail
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_packages "$linux_tarball:linux-source-6.1" gcc:gcc ld:binutils make:make flex:flex bison:bison bc:bc perl:perl \
    /usr/include/libelf.h:libelf-dev /usr/include/stdio.h:libc6-dev gzip:gzip bzip2:bzip2 xz:xz-utils lzop:lzop \
    lz4:lz4 zstd:zstd
compressions=(gzip bzip2 lzma xz lzo lz4 zstd)

build_bzimages() {
    name_kernel_build
    local compression tree=linux-source-6.1
    run_logged "unpacking linux-source-6.1" unpack_linux
    cp "$symbols" "$tree/vmlinux"
    # The kernel's own target "bzImage" would first compile all of vmlinux; this one takes the finished file.
    cat >"$tree/loader.mk" <<'END'
include Makefile
loader: prepare
	$(MAKE) $(build)=arch/x86/kernel/cpu arch/x86/kernel/cpu/capflags.c
	$(MAKE) $(build)=init include/generated/utsversion.h
	$(MAKE) $(build)=arch/x86/boot arch/x86/boot/bzImage
END
    # --no-print-directory keeps Kbuild from starting itself again, without loader.mk.
    local make=(make --no-print-directory -C "$tree")
    for compression in "${compressions[@]}"; do
        {
            cat "$guest_images/kernel.config"
            echo "CONFIG_KERNEL_${compression^^}=y"
        } >fragment
        run_logged "configuring for $compression" "${make[@]}" KCONFIG_ALLCONFIG="$PWD/fragment" allnoconfig
        run_logged "packing with $compression" "${make[@]}" -f loader.mk -j"$(nproc)" loader
        cp "$tree/arch/x86/boot/bzImage" "bzImage-$compression"
    done
    cp bzImage-zstd bzImage
}

"$guest_images/kernel.sh" up
kernel_key=$(<"$build/.kernel-up.key")
symbols=$cache/kernel-up-$kernel_key/vmlinux.symbols
if [[ ! -e $symbols ]]; then # the cache was emptied while build/ was not
    rm -f "$build/.kernel-up.key"
    "$guest_images/kernel.sh" up
fi
key=$(inputs_key "$kernel_key" "$(declare -f build_bzimages)" "${compressions[*]}")
provide bzimages "$key" build_bzimages "${compressions[@]/#/bzImage-}" bzImage
