// SPDX-License-Identifier: Apache-2.0

import JSON

/// The seccomp profile of a container's processes on the host, in place of the one that an engine has for programs.
///
/// An engine's profile is for a program that the host's kernel serves; this one runs in a guest. A machine's process has an
/// allow-list of its own for each kind of thread (docs/security.md) before its guest runs. This profile is for its start and for the
/// processes that pass streams on: it refuses what no process of Martlet does. An engine's lists of some 400 calls for
/// three kinds of programs take runc 15 ms for each process; these take it 1 ms.
enum SystemCallProfile {
    /// The object `linux.seccomp` of a bundle's `config.json`.
    static let description: JSONValue = [
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            ["names": .array(refused.map { .string($0) }), "action": "SCMP_ACT_ERRNO", "errnoRet": 1],
            // CLONE_NEWUSER.
            [
                "names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                "args": [["index": 0, "value": 0x1000_0000, "valueTwo": 0x1000_0000, "op": "SCMP_CMP_MASKED_EQ"]],
            ],
            // No filter sees its arguments: ENOSYS has the C library use clone.
            ["names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38],
        ],
    ]

    /// Mounts and namespaces, other processes, the kernel itself, and kernel interfaces with a history of faults.
    private static let refused = [
        "mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "open_tree", "move_mount", "fsopen", "fsconfig",
        "fsmount", "fspick", "mount_setattr", "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat", "quotactl",
        "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "move_pages", "migrate_pages",
        "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
        "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "acct", "syslog", "iopl", "ioperm", "modify_ldt",
        "bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl", "vmsplice", "uselib", "ustat",
        "sysfs", "lookup_dcookie", "personality",
    ]
}
