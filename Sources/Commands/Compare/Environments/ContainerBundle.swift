// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON

/// The description of a container for a runtime: config.json of the OCI runtime specification 1.0.
///
/// It grants the defaults of container engines: new namespaces of all kinds but user (for
/// root), the fourteen capabilities and the masked paths of Docker's default, and a seccomp filter that refuses what that
/// default refuses to a container without more capabilities.
struct ContainerBundle {
    var root: String
    var command: [String]
    /// Mounted on /data, writable.
    var dataFolder: String?
    var limits = Job.Limits()
    var hasSeccomp = true
    /// The network namespace that it joins; `nil` for a new one.
    var networkNamespace: String?

    private static let capabilities = [
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
        "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    ].map { "CAP_\($0)" }

    private static let refusedCalls = [
        "acct", "add_key", "adjtimex", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module",
        "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "ioperm", "iopl", "io_uring_enter",
        "io_uring_register", "io_uring_setup", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie",
        "mount", "mount_setattr", "move_mount", "move_pages", "name_to_handle_at", "open_by_handle_at", "open_tree",
        "perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev", "quotactl", "reboot", "request_key",
        "setdomainname", "sethostname", "setns", "settimeofday", "swapoff", "swapon", "syslog", "umount2", "unshare",
        "userfaultfd", "vhangup",
    ]

    private static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
        "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
    ]
    private static let readOnlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    var configuration: JSONValue {
        let capabilities = JSONValue.strings(Self.capabilities)
        let isRoot = geteuid() == 0
        var linux: JSONObject = [
            "namespaces": .array(namespaces(isRoot: isRoot)),
            "resources": resources,
            "maskedPaths": .strings(Self.maskedPaths),
            "readonlyPaths": .strings(Self.readOnlyPaths),
        ]
        if !isRoot {
            linux["uidMappings"] = [mapping(geteuid())]
            linux["gidMappings"] = [mapping(getegid())]
        }
        if hasSeccomp { linux["seccomp"] = seccomp }
        return [
            "ociVersion": "1.0.0",
            "process": [
                "terminal": false,
                "user": ["uid": 0, "gid": 0],
                "args": .strings(command),
                "env": ["PATH=/bin"],
                "cwd": "/",
                "capabilities": [
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
                    "inheritable": [],
                ],
                "noNewPrivileges": true,
            ],
            "root": ["path": .string(root), "readonly": true],
            "hostname": "container",
            "mounts": .array(mounts),
            "linux": .object(linux),
        ]
    }

    private func namespaces(isRoot: Bool) -> [JSONValue] {
        let kinds = ["pid", "network", "ipc", "uts", "mount"] + (isRoot ? [] : ["user"])
        return kinds.map { kind in
            guard kind == "network", let networkNamespace else { return ["type": .string(kind)] }
            return ["type": .string(kind), "path": .string(networkNamespace)]
        }
    }

    /// Without root rights the container's root is the user.
    private func mapping(_ identifier: UInt32) -> JSONValue {
        ["containerID": 0, "hostID": .integer(Int64(identifier)), "size": 1]
    }

    private var resources: JSONValue {
        var members: JSONObject = ["devices": [["allow": false, "access": "rwm"]]]
        if let limit = limits.memoryByteCount { members["memory"] = ["limit": .integer(Int64(limit))] }
        if let limit = limits.processCount { members["pids"] = ["limit": .integer(Int64(limit))] }
        return .object(members)
    }

    private var mounts: [JSONValue] {
        var mounts: [JSONValue] = [
            ["destination": "/proc", "type": "proc", "source": "proc"],
            [
                "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            ],
            ["destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=1777"]],
        ]
        if let dataFolder {
            let options: JSONValue = ["bind", "rw", "nosuid"]
            mounts.append(["destination": "/data", "type": "bind", "source": .string(dataFolder), "options": options])
        }
        return mounts
    }

    private var seccomp: JSONValue {
        [
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [["names": .strings(Self.refusedCalls), "action": "SCMP_ACT_ERRNO"]],
        ]
    }
}
