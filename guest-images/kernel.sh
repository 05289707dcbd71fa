#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernel.sh [up|smp]...: builds build/vmlinux (one vCPU) and build/vmlinux-smp (more), stripped ELF images, from Debian's
# linux-source-6.1, unpatched. Configuration: kernel.config, for SMP kernel-smp.config too. Both when not told which.
set -euo pipefail
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build_kernel() {
    name_kernel_build
    local tree=linux-source-6.1 option make
    cat "${configs[@]}" >fragment
    run_logged "unpacking linux-source-6.1 $(package_version linux-source-6.1)" unpack_linux
    sed "/^mainmenu/r $guest_images/kernel.Kconfig" "$tree/Kconfig" >Kconfig
    cp "$guest_images/kernel-speed.h" .
    # A folder inside the source: the compiler then sees relative paths only, wherever this is.
    make=(make -C "$tree" O=out KBUILD_KCONFIG="$PWD/Kconfig")
    mkdir "$tree/out"
    run_logged "configuring" "${make[@]}" KCONFIG_ALLCONFIG="$PWD/fragment" allnoconfig
    # Kconfig drops silently what it does not know or whose dependencies are off.
    while read -r option; do
        if [[ $option == *=n ]]; then ! grep -q "^${option%n}" "$tree/out/.config"; else grep -qxF "$option" "$tree/out/.config"; fi ||
            fail "$artefact: Kconfig did not take $option"
    done < <(grep '^CONFIG_' fragment)
    make+=("${object_flags[@]}" "${skipped_checks[@]}" KCFLAGS="${code_flags[*]} -include $PWD/kernel-speed.h"
        KAFLAGS="-include $PWD/kernel-speed.h" CPPFLAGS_vmlinux.lds="-include $PWD/kernel-speed.h")
    steps=1440 run_logged "compiling" "${make[@]}" -j"$(nproc)" vmlinux
    strip -o "$image" "$tree/out/vmlinux"
    # With symbols: for profiles, for gdb, and bzimages.sh packs this one.
    mv "$tree/out/vmlinux" "$image.symbols"
    mv "$tree/out/.config" "$image.config"
}

# For the interpreted kernel of a host without hardware virtualisation. `rep stosb`/`rep movsb` cost 1 us a byte there, and
# gcc puts them into cold and init code: call memset and memcpy instead. No padding of loops and jumps: nops cost too. A branch
# costs what any other instruction does: do not compute more to avoid one.
# The last flag is about the build's time: messages of the compiler then show no macro expansions, and nobody reads them here.
code_flags=(-mstringop-strategy=libcall -fno-align-loops -fno-align-jumps -fno-align-labels -mbranch-cost=1
    -ftrack-macro-expansion=0)
# Checks of each object file for mistakes in the source, which Debian has built before: whether an exported symbol is local, and
# objtool. With this configuration objtool changes no code, but for a table of calls that the kernel patches at boot; without the table
# these few calls go through their trampolines. (A variable on the command line overrides the configuration's for make only.)
skipped_checks=(cmd_check_local_export=: CONFIG_OBJTOOL=)
# The files in which a boot spends most of its instructions: -O3 there saves nearly as much as everywhere, and compiles faster. Calls
# cost an interpreter as much as what small functions do: inline more of them.
# A variable on make's command line names an object, in whichever folder it is. (core.o is not here: it has flags in kernel/bpf.)
hot_objects=(
    memblock mm_init sparse-vmemmap slab slab_common util percpu filemap mmap readahead swap rmap memcontrol vmstat
    vsprintf xarray idr radix-tree kobject klist rbtree find_bit bitmap blake2s-generic chacha cmdline
    dir file group symlink proc_sysctl namei dcache super buffer inode
    workqueue printk printk_ringbuffer main fork fair build_policy build_utility timekeeping tick-sched tick-common timer
    hrtimer readpage bio virtio_ring rwsem
    bus dd driver class platform random kvmclock pvclock insn setup
)
object_flags=()
hot_flags=(-O3 --param={max-inline-insns-auto=120,max-inline-insns-single=300,early-inlining-insns=30,inline-min-speedup=2}
    --param={inline-unit-growth=100,large-function-growth=400})
for object in "${hot_objects[@]}"; do object_flags+=("CFLAGS_$object.o=${hot_flags[*]}"); done
# What single files do as if an option were off (kernel-speed.h): no /sys/kernel/irq, and no name of the processor by which udev would
# load modules, as there are none.
object_flags+=("CFLAGS_irqdesc.o=${hot_flags[*]} -DWITHOUT_SYSFS" CFLAGS_cpu.o=-DWITHOUT_CPU_AUTOPROBE)
# Its loops over memory ranges index by a signed number; where that may not wrap around, they step a pointer: 5 instructions, not 8.
object_flags+=("CFLAGS_e820.o=${hot_flags[*]} -fstrict-overflow")
# Loops over 32,768 pages: without what each turn asks again, several pages a turn, and no load before it is needed.
object_flags+=("CFLAGS_page_alloc.o=${hot_flags[*]} -DPLAIN_PAGES -funroll-loops --param=max-unswitch-insns=300 -fno-tree-pre -fno-code-hoisting")
# Inlined, its functions have 40 places for clflush, each of which a boot decodes.
object_flags+=("CFLAGS_set_memory.o=-O3")
# The flags of lib/Makefile, and loops of three instructions for each character instead of four.
object_flags+=("CFLAGS_string.o=-ffreestanding -fno-stack-protector -O3 -funroll-all-loops -DSCANNING_STRLEN")
object_flags+=(AFLAGS_mem{set,cpy}_64.o=-DREP_STRINGS)
object_flags+=(CFLAGS_{lbr,xstate,process,process_64,signal,regset,tlb,bugs,aperfmperf,tsx}.o=-DPLAIN_FEATURE_TESTS)
object_flags+=("CFLAGS_memory.o=${hot_flags[*]} -DFAULT_AROUND_PARAMETER")
# What they do many times at boot, and need not.
object_flags+=("CFLAGS_kobject_uevent.o=${hot_flags[*]} -DEVENTS_FOR_PROCESSES" "CFLAGS_params.o=${hot_flags[*]} -DPARAMETERS_AT_ONCE")
object_flags+=("CFLAGS_init_64.o=${hot_flags[*]} -DEND_OF_MEMORY_FIRST" "CFLAGS_init.o=${hot_flags[*]} -DNOTHING_READ_ONLY")
object_flags+=("CFLAGS_alternative.o=${hot_flags[*]} -DSHORT_DECODING")
need_packages "$linux_tarball:linux-source-6.1" gcc:gcc ld:binutils make:make flex:flex bison:bison bc:bc xz:xz-utils \
    perl:perl /usr/include/libelf.h:libelf-dev /usr/include/stdio.h:libc6-dev

(($# > 0)) || set -- up smp
for kind in "$@"; do
    configs=("$guest_images/kernel.config")
    case $kind in
    up) image=vmlinux ;;
    smp)
        image=vmlinux-smp
        configs+=("$guest_images/kernel-smp.config")
        ;;
    *)
        printf 'usage: kernel.sh [up|smp]...\n' >&2
        exit 64
        ;;
    esac
    key=$(inputs_key "$kind" "$(package_version linux-source-6.1)" "$(toolchain)" "$(declare -f name_kernel_build build_kernel)" \
        "${code_flags[*]}" "${object_flags[*]}" "${skipped_checks[*]}" "$(declare -f unpack_linux)" "${configs[@]}" "$guest_images/kernel.Kconfig" "$guest_images/kernel-speed.h")
    provide "kernel-$kind" "$key" build_kernel "$image" "kept:$image.symbols" "kept:$image.config"
done
