// SPDX-License-Identifier: Apache-2.0

import CKVM

/// The registers of CPUID whose bits are features (Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E).
enum CPUIDFeatures {
    enum Letter: String {
        case eax = "EAX"
        case ebx = "EBX"
        case ecx = "ECX"
        case edx = "EDX"
    }

    struct Register {
        let leaf: UInt32
        let subleaf: UInt32
        let letter: Letter
        /// Linux's names of bits 0 to 31, `-` where it has none.
        let names: [Substring]
        /// Bits that do not describe the host: the machine's own topology, and features that the guest has enabled.
        let ignored: UInt32

        init(_ leaf: UInt32, subleaf: UInt32 = 0, _ letter: Letter, _ names: String = "", ignored: UInt32 = 0) {
            (self.leaf, self.subleaf, self.letter) = (leaf, subleaf, letter)
            (self.names, self.ignored) = (names.split { $0.isWhitespace }, ignored)
        }

        func value(of entry: kvm_cpuid_entry2) -> UInt32 {
            switch letter {
            case .eax: entry.eax
            case .ebx: entry.ebx
            case .ecx: entry.ecx
            case .edx: entry.edx
            }
        }

        func name(of bit: Int) -> String {
            if bit < names.count, names[bit] != "-" { return String(names[bit]) }
            let place = subleaf == 0 ? "" : " (\(subleaf))"
            return "CPUID \(String(leaf, radix: 16))h\(place) \(letter.rawValue) bit \(bit)"
        }
    }

    static var registers: [Register] {
        [
            Register(
                0x1,
                .ecx,
                """
                sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 \
                sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave osxsave avx f16c rdrand hypervisor
                """,
                // The deadline timer is the in-kernel APIC's, not of the list; OSXSAVE is the guest's.
                ignored: 1 << 31 | 1 << 27 | 1 << 24
            ),
            Register(
                0x1,
                .edx,
                """
                fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr \
                sse sse2 ss ht tm ia64 pbe
                """,
                ignored: 1 << 28
            ),
            Register(0x6, .eax),
            Register(
                0x7,
                .ebx,
                """
                fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed \
                adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl
                """
            ),
            Register(
                0x7,
                .ecx,
                """
                - avx512vbmi umip pku ospke waitpkg avx512_vbmi2 shstk gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme \
                avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd - -
                """,
                ignored: 1 << 4
            ),
            Register(
                0x7,
                .edx,
                """
                - - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize - tsxldtrk - \
                pconfig arch_lbr ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 ibrs stibp flush_l1d arch_capabilities - ssbd
                """
            ),
            Register(0x7, subleaf: 1, .eax, "- - - - avx_vnni avx512_bf16 lass cmpccxadd - - fzrm fsrs fsrc"),
            Register(0x7, subleaf: 1, .edx),
            Register(0x7, subleaf: 2, .edx),
            Register(0xd, .eax, "x87-state sse-state avx-state"),
            Register(0xd, subleaf: 1, .eax, "xsaveopt xsavec xgetbv1 xsaves xfd"),
            Register(0x4000_0001, .eax),
            Register(
                0x8000_0001,
                .ecx,
                """
                lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp \
                fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx - -
                """,
                ignored: 1 << 1
            ),
            Register(
                0x8000_0001,
                .edx,
                """
                - - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow
                """
            ),
            Register(0x8000_0007, .edx, "- - - - - - - - constant_tsc"),
            Register(0x8000_0008, .ebx),
            Register(0x8000_0021, .eax),
        ]
    }
}
