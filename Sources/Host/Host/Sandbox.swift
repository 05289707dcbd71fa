// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Synchronization
package import SystemPackage

/// The rights that a process gives away when everything is opened and before its guest's first instruction.
///
/// The process enters as a whole: `enter`, once, on the thread that starts the machine. Capabilities, Landlock and the list of
/// system calls are each thread's own: `restrictThread` runs on every one of them. `docs/security.md` has the layers.
package final class Sandbox: Sendable {
    /// The ways to run.
    package enum Mode: String, Sendable, CaseIterable {
        /// With all layers that the host has.
        case on
        /// The same, but a system call that is not in its thread's list is logged and made.
        case log
        /// Without any, for debuggers.
        case off
    }

    /// The wishes for a process.
    package struct Settings: Sendable {
        package var mode = Mode.on
        package var filtersCalls = true
        /// A file with the user's own filters, which take the place of the lists: to be read by whoever makes the sandbox.
        package var filterFile: FilePath?
        /// The user to become; `nil` to stay.
        package var user: HostUser?
        /// The folders that alone are left of the host's files, under their own paths; `nil` to leave all.
        ///
        /// For the first process of a PID namespace.
        package var jail: [FilePath]?
        /// The folders beneath which requests and the machine's own threads open files once the process has entered; `["/"]`
        /// for all files, none for a machine without requests.
        ///
        /// Other files come to it open.
        package var openedFolders: [FilePath] = []
        /// The folders in which the main thread renames and removes folders as well: the process's own, at its end.
        package var clearedFolders: [FilePath] = []
        /// Inherited descriptors that stay open.
        package var keptDescriptors: [CInt] = []
        /// Called with the reason before a thread that cannot be restricted ends the process, beside the line on standard error.
        package var onFailure: @Sendable (_ reason: String) -> Void = { _ in }

        /// Indicates whether the process, once it has entered, may change no folder but those that are made for it.
        package var isConfined: Bool { user != nil || jail != nil }

        package init() {}
    }

    /// Filters of the user's: each a program for seccomp(2), its instructions as they lie in memory.
    package struct OwnFilters: Sendable {
        /// For all threads.
        package var all: [UInt64]
        /// For threads of the API and of vCPUs, besides.
        package var (api, vcpu): ([UInt64], [UInt64])

        package init(all: [UInt64], api: [UInt64], vcpu: [UInt64]) {
            (self.all, self.api, self.vcpu) = (all, api, vcpu)
        }
    }

    private let settings: Settings
    private let ownFilters = Mutex<OwnFilters?>(nil)
    private let hasEntered = Atomic<Bool>(false)

    /// Makes a sandbox that is still to be entered.
    package init(_ settings: Settings) {
        self.settings = settings
    }

    /// Indicates whether system calls can be filtered: not by a program under a sanitizer, which makes some of its own, nor where the
    /// kernel has no filters.
    package static var hasFilters: Bool { chost_has_filters() != 0 }

    package var openedFolders: [FilePath] { settings.openedFolders }

    /// Replaces the lists of system calls, before the process enters.
    package func replaceLists(by filters: OwnFilters) {
        ownFilters.withLock { $0 = filters }
    }

    /// The exit status after a refused call under Firecracker's name, which is Firecracker's; else SIGSYS ends the process.
    package static let refusedCallStatus: CInt = 148

    private var filtersCalls: Bool { settings.filtersCalls && Self.hasFilters }

    // MARK: - The process

    /// Drops the privileges of the process and the calling thread; does nothing where the sandbox is off.
    ///
    /// Threads that are there already keep their capabilities until `restrictThread` runs on them.
    ///
    /// - Parameter log: The descriptor that a refused call is named on, besides standard error.
    /// - Throws: `SandboxError`, which names the layer.
    package func enter(log: CInt?) throws(SandboxError) {
        guard settings.mode != .off, !hasEntered.exchange(true, ordering: .sequentiallyConsistent) else { return }
        unsafe chost_close_inherited(settings.keptDescriptors, CInt(settings.keptDescriptors.count))
        if let folders = settings.jail { try SandboxError.check("enter its jail", Self.enterJail(folders)) }
        if let user = settings.user {
            try SandboxError.check("become the user \(user.userID)", chost_become(user.userID, user.groupID))
        }
        try SandboxError.check("limit resources", chost_limit_resources())
        try SandboxError.check("forbid new privileges", chost_forbid_new_privileges())
        try SandboxError.check("drop capabilities", chost_drop_capabilities())
        try SandboxError.check("hide its memory", chost_hide_memory())
        guard filtersCalls else { return }
        let mode = settings.mode == .log ? CHOST_FILTER_LOG : CHOST_FILTER_ENFORCE
        let status = ProcessArguments.standsInForFirecracker ? Self.refusedCallStatus : -1
        try SandboxError.check("watch system calls", chost_filter_prepare(mode, log ?? -1, status))
        try install(CInt(CHOST_ALL), ownFilters.withLock { $0?.all }, onAllThreads: true)
    }

    /// Installs the list of some kinds of threads, or the user's own filter in its place.
    private func install(_ kinds: CInt, _ own: [UInt64]?, onAllThreads: Bool) throws(SandboxError) {
        let result =
            if let own {
                unsafe chost_filter_install_own(own, CInt(own.count), onAllThreads ? 1 : 0)
            } else {
                chost_filter_install(kinds, onAllThreads ? 1 : 0)
            }
        try SandboxError.check("filter system calls", result)
    }

    private static func enterJail(_ folders: [FilePath]) -> CInt {
        // A folder inside another one comes after it.
        let texts = Set(folders.map(\.hostText)).sorted()
        return unsafe withHostCStrings(texts) { unsafe chost_jail_enter($0, CInt(texts.count)) }
    }

    // MARK: - Threads

    /// The kinds of threads: each has its list of system calls.
    package enum ThreadKind: Sendable, CaseIterable {
        /// Runs a guest's vCPU.
        case vcpu
        /// Serves a device.
        case device
        /// Serves a vsock: connects to sockets of the user's besides.
        case vsock
        /// Takes requests of the API and sends the answers; another thread carries them out.
        case api
        /// Everything else: what requests ask for, console, timers, signals, snapshots.
        case control

        /// The kind of a thread of a machine's, by its name.
        init(ofThread name: String) {
            switch name {
            case let name where name.hasPrefix("vcpu "): self = .vcpu
            case "http": self = .api
            case "vsock": self = .vsock
            case "control", "requests", "timers", "signals", "messages", "console", "console out", "program", "pod",
                "main":
                self = .control
            default: self = .device
            }
        }

        fileprivate var bit: CInt {
            switch self {
            case .vcpu: CInt(CHOST_VCPU)
            case .device: CInt(CHOST_DEVICE)
            case .vsock: CInt(CHOST_VSOCK)
            case .api: CInt(CHOST_API)
            case .control: CInt(CHOST_CONTROL)
            }
        }

        /// The number of system calls that such a thread can make.
        package var callCount: Int { Int(chost_filter_count(bit)) }
    }

    /// Restricts the calling thread, which passes the gate before the guest runs.
    ///
    /// A thread that cannot be restricted ends the process.
    package func restrictThread(_ name: String) {
        guard settings.mode != .off else { return }
        let kind = ThreadKind(ofThread: name)
        do throws(SandboxError) {
            try giveAwayFiles(kind, isMain: name == "main")
            guard filtersCalls, hasEntered.load(ordering: .sequentiallyConsistent), kind != .control else { return }
            let own = ownFilters.withLock { $0 }
            switch kind {
            case .api: try install(kind.bit, own?.api, onAllThreads: false)
            case .vcpu: try install(kind.bit, own?.vcpu, onAllThreads: false)
            case .device, .vsock: if own == nil { try install(kind.bit, nil, onAllThreads: false) }
            case .control: break
            }
        } catch {
            let reason = "the thread '\(name)': \(error)"
            try? FileDescriptor.standardError.write(all: "martlet: \(reason)\n".utf8)
            settings.onFailure(reason)
            _exit(1)
        }
    }

    /// Restricts a thread that is no machine's, as it starts: one that starts a machine later keeps its rights until then.
    package func restrictNewThread(_ name: String) {
        guard settings.mode != .off else { return }
        switch name {
        case "messages", "signals": restrictThread(name)
        case "http": if hasEntered.load(ordering: .sequentiallyConsistent) { restrictThread(name) }
        // A machine's own, which pass its gate.
        default: break
        }
    }

    private func giveAwayFiles(_ kind: ThreadKind, isMain: Bool) throws(SandboxError) {
        try SandboxError.check("forbid new privileges", chost_forbid_new_privileges())
        // One thread that lacks them could not follow the others to another user, which takes them away as well.
        if settings.user == nil || hasEntered.load(ordering: .sequentiallyConsistent) {
            try SandboxError.check("drop capabilities", chost_drop_capabilities())
        }
        let opened = kind == .control ? settings.openedFolders : []
        let cleared = isMain ? settings.clearedFolders : []
        let result = unsafe withHostCStrings(opened.map(\.hostText)) { opened in
            unsafe withHostCStrings(cleared.map(\.hostText)) { unsafe chost_landlock_restrict(opened, $0) }
        }
        try SandboxError.check("restrict files", result)
    }
}

/// A layer of the sandbox that this host does not let a process enter.
package struct SandboxError: Error, Hashable, CustomStringConvertible {
    private let step: String
    private let errno: Errno

    fileprivate static func check(_ step: String, _ result: CInt) throws(SandboxError) {
        guard result < 0 else { return }
        throw SandboxError(step: step, errno: Errno(rawValue: -result))
    }

    package var description: String {
        "the sandbox cannot \(step): \(errno.inWords); with --sandbox off the machine runs without"
    }
}
