// SPDX-License-Identifier: Apache-2.0

/// The offsets of the zero page's fields in the kernel's own header, to check those that LinuxBoot writes to.

#ifndef CBOOTPARAMETERS_H
#define CBOOTPARAMETERS_H

#include <stddef.h>

#include <asm/bootparam.h>

#define CBP_OFFSET(name, field) cbp_##name = offsetof(struct boot_params, field)

enum {
    CBP_OFFSET(rsdp_address, acpi_rsdp_addr),
    CBP_OFFSET(initrd_address_high, ext_ramdisk_image),
    CBP_OFFSET(initrd_size_high, ext_ramdisk_size),
    CBP_OFFSET(command_line_address_high, ext_cmd_line_ptr),
    CBP_OFFSET(e820_entry_count, e820_entries),
    CBP_OFFSET(sentinel, sentinel),
    CBP_OFFSET(header, hdr),
    CBP_OFFSET(root_flags, hdr.root_flags),
    CBP_OFFSET(protected_mode_size, hdr.syssize),
    CBP_OFFSET(video_mode, hdr.vid_mode),
    CBP_OFFSET(boot_flag, hdr.boot_flag),
    CBP_OFFSET(jump, hdr.jump),
    CBP_OFFSET(magic, hdr.header),
    CBP_OFFSET(version, hdr.version),
    CBP_OFFSET(kernel_version, hdr.kernel_version),
    CBP_OFFSET(loader_type, hdr.type_of_loader),
    CBP_OFFSET(load_flags, hdr.loadflags),
    CBP_OFFSET(entry32, hdr.code32_start),
    CBP_OFFSET(initrd_address, hdr.ramdisk_image),
    CBP_OFFSET(initrd_size, hdr.ramdisk_size),
    CBP_OFFSET(heap_end, hdr.heap_end_ptr),
    CBP_OFFSET(command_line_address, hdr.cmd_line_ptr),
    CBP_OFFSET(initrd_address_max, hdr.initrd_addr_max),
    CBP_OFFSET(kernel_alignment, hdr.kernel_alignment),
    CBP_OFFSET(relocatable_kernel, hdr.relocatable_kernel),
    CBP_OFFSET(extended_load_flags, hdr.xloadflags),
    CBP_OFFSET(command_line_size, hdr.cmdline_size),
    CBP_OFFSET(payload_offset, hdr.payload_offset),
    CBP_OFFSET(payload_length, hdr.payload_length),
    CBP_OFFSET(setup_data, hdr.setup_data),
    CBP_OFFSET(preferred_address, hdr.pref_address),
    CBP_OFFSET(init_size, hdr.init_size),
    CBP_OFFSET(e820_table, e820_table),
    cbp_size = sizeof(struct boot_params),
    cbp_e820_entry_size = sizeof(struct boot_e820_entry),
    cbp_e820_entry_limit = E820_MAX_ENTRIES_ZEROPAGE,
    cbp_rng_seed_type = SETUP_RNG_SEED,
};

#endif
