// SPDX-License-Identifier: Apache-2.0

import CHost
import CHostileCode
import Glibc
import Host
import TestSupport
import Testing

/// Hostile code on a thread of a process that has entered the sandbox: the table in docs/security.md, attempt by attempt.
@Suite(.enabled(if: Sandbox.hasFilters, "a sanitizer makes calls of its own"))
struct HostileCodeTests {
    private static let kinds: [(name: String, bit: CInt)] = [
        ("vCPU", CInt(CHOST_VCPU)), ("device", CInt(CHOST_DEVICE)), ("API", CInt(CHOST_API)),
        ("vsock", CInt(CHOST_VSOCK)), ("control", CInt(CHOST_CONTROL)),
    ]

    /// The answer to an attempt.
    private enum Answer: Equatable, CustomStringConvertible {
        /// The process ended by SIGSYS.
        case refused
        case error(CInt)
        case result(CInt)
        /// By another signal, or no sandbox.
        case other(CInt)

        init(_ value: CInt) {
            switch value {
            case 0...: self = .result(value)
            case -1000 - SIGSYS: self = .refused
            case -EDOM, ...(-1000): self = .other(value)
            default: self = .error(-value)
            }
        }

        var description: String {
            switch self {
            case .refused: "ends the process"
            case .error(let errno): "errno \(errno)"
            case .result(let value): "result \(value)"
            case .other(let value): "other \(value)"
            }
        }
    }

    private static func attempt(
        _ kind: CInt,
        beneath folder: String? = nil,
        _ number: Int,
        _ arguments: [Int]
    ) -> Answer {
        let padded = arguments + [Int](repeating: 0, count: 6 - arguments.count)
        return Answer(unsafe chostile_attempt(kind, folder, number, padded))
    }

    /// A call that no kind of thread may make: its number, and arguments that matter.
    struct Forbidden: Sendable, CustomTestStringConvertible {
        let number: Int
        let arguments: [Int]
        let note: String

        init(_ number: Int, _ arguments: Int..., note: String = "") {
            (self.number, self.arguments, self.note) = (number, arguments, note)
        }

        var testDescription: String {
            unsafe String(cString: chost_system_call_name(CInt(number & 0xfff))) + (note.isEmpty ? "" : ", \(note)")
        }
    }

    static let programs: [Forbidden] = [
        .init(59), .init(322), .init(57), .init(58), .init(56, 17, note: "a process"),
        .init(56, 0x1001_0100, note: "a user namespace"),
    ]
    static let processes: [Forbidden] = [
        .init(101), .init(310), .init(311), .init(312), .init(438), .init(440), .init(434), .init(279),
        .init(302, 1, 7, 1, note: "of another process"), .init(141, 0, 1, 5, note: "of another process"),
        .init(141, 1, 0, 5, note: "of a group"), .init(129), .init(297),
    ]
    static let metadata: [Forbidden] = [.init(90), .init(92), .init(94), .init(188), .init(268), .init(280)]
    static let sockets: [Forbidden] = [
        .init(41, 2, 1, note: "AF_INET"), .init(41, 10, 1, note: "AF_INET6"), .init(41, 16, 3, note: "AF_NETLINK"),
        .init(41, 17, 3, note: "AF_PACKET"), .init(41, 40, 1, note: "AF_VSOCK"),
    ]
    static let code: [Forbidden] = [
        .init(9, 0, 4096, 7, 0x22, -1, note: "executable"), .init(10, 0, 0, 4, note: "executable"), .init(329, 0, 0, 4),
        .init(135, 0x40_0000, note: "READ_IMPLIES_EXEC"), .init(216), .init(30),
    ]
    static let kernel: [Forbidden] = [
        .init(272), .init(308), .init(165), .init(166), .init(155), .init(161), .init(428), .init(429), .init(430),
        .init(442),
        .init(175), .init(313), .init(176), .init(246), .init(320), .init(321), .init(323), .init(250), .init(248),
        .init(249),
        .init(298), .init(304), .init(169), .init(167), .init(172), .init(173), .init(154), .init(158), .init(133),
        .init(259),
        .init(163), .init(170), .init(153),
    ]
    static let requests: [Forbidden] = [
        .init(16, 0, 0x5412, note: "TIOCSTI"), .init(16, 0, 0xae01, note: "KVM_CREATE_VM"),
        .init(16, 0, 0xae41, note: "KVM_CREATE_VCPU"),
        .init(16, 0, 0x4004_54ca, note: "TUNSETIFF"), .init(157, 4, 1, note: "PR_SET_DUMPABLE"),
        .init(157, 22, note: "PR_SET_SECCOMP"), .init(157, 0x5961_6d61, note: "PR_SET_PTRACER"),
    ]

    @Test(arguments: programs + processes + metadata + sockets + code + kernel + requests)
    func `no thread makes a call that machines do not need`(_ call: Forbidden) {
        for kind in Self.kinds {
            #expect(Self.attempt(kind.bit, call.number, call.arguments) == .refused, "\(kind.name)")
        }
    }

    @Test func `files are opened by the machine's own threads, and beneath the folders that they were left`() {
        let (openat, here) = (257, -100)
        let answers = Self.kinds.map { kind in
            [nil, "/etc"].map { folder in
                unsafe "/etc/passwd".withCString { path in
                    Self.attempt(kind.bit, beneath: folder, openat, [here, Int(bitPattern: path), 0])
                }
            }
        }
        for (kind, answers) in zip(Self.kinds, answers).prefix(4) {
            #expect(answers == [.refused, .refused])
            // open, creat, openat2, and what changes a file by its path.
            for number in [2, 85, 437, 76, 82, 86, 87, 88, 90, 92, 280] {
                #expect(Self.attempt(kind.bit, beneath: "/", number, []) == .refused, "\(kind.name), \(number)")
            }
        }
        for answers in answers[4...] {
            if ProcessRights.landlockVersion != nil { #expect(answers[0] == .error(EACCES)) }
            guard case .result = answers[1] else {
                Issue.record("a file of the user's: \(answers[1])")
                continue
            }
        }
    }

    @Test(.enabled(if: ProcessRights.landlockVersion != nil, "needs Landlock"))
    func `a machine's own threads find no way out of the folders that they were left`() throws {
        let (inside, outside) = (try TemporaryFolder(), try TemporaryFolder())
        for folder in [inside, outside] { try folder.write([], to: "file") }
        try #require(unsafe symlink("\(outside.path)/file", "\(inside.path)/link") == 0)
        let (openat, linkat, renameat, unlinkat, here) = (257, 265, 264, 263, -100)
        func attempt(_ number: Int, _ one: String, _ second: String? = nil, flags: CInt = 0) -> Answer {
            unsafe one.withCString { one in
                unsafe (second ?? "").withCString { other in
                    var arguments = [here, Int(bitPattern: one), Int(flags), 0o600]
                    if second != nil { arguments[2...] = [here, Int(bitPattern: other)] }
                    return Self.attempt(CInt(CHOST_CONTROL), beneath: inside.path, number, arguments)
                }
            }
        }
        for (path, flags) in [("file", O_RDWR), ("new", O_CREAT | O_RDWR), ("file", O_TRUNC | O_WRONLY)] {
            guard case .result = attempt(openat, "\(inside.path)/\(path)", flags: flags) else {
                Issue.record("\(path) of its own")
                continue
            }
        }
        let links = ["\(inside.path)/link", "\(inside.path)/../../etc/passwd"]
        for path in ["\(outside.path)/file", "/proc/self/mem", "/dev/kvm"] + links {
            #expect(attempt(openat, path, flags: O_RDONLY) == .error(EACCES), "\(path)")
        }
        #expect(attempt(openat, "\(outside.path)/new", flags: O_CREAT | O_RDWR) == .error(EACCES))
        #expect(attempt(unlinkat, "\(outside.path)/file") == .error(EACCES))
        for number in [linkat, renameat] {
            for (from, to) in [(inside, outside), (outside, inside)] {
                let answer = attempt(number, "\(from.path)/file", "\(to.path)/other")
                #expect(answer == .error(EACCES) || answer == .error(EXDEV), "\(answer)")
            }
        }
    }

    @Test(.enabled(if: getuid() != 0, "all files are root's"))
    func `no thread opens its process's memory as a file, by which it could change code`() {
        let openat = 257
        let answer = unsafe "/proc/self/mem".withCString { path in
            Self.attempt(CInt(CHOST_CONTROL), beneath: "/", openat, [-100, Int(bitPattern: path), Int(O_RDWR)])
        }
        #expect(answer == .error(EACCES))
    }

    @Test(.enabled(if: (try? ProcessLaunch.Jail.check()) != nil, "needs namespaces"))
    func `a machine's own threads find nothing of the host's in a jail`() throws {
        let folder = try TemporaryFolder()
        try folder.write([], to: "file")
        let (openat, connect, here, control) = (257, 42, -100, CInt(CHOST_CONTROL))
        func attempt(_ number: Int, _ path: String, _ flags: CInt) -> Answer {
            unsafe path.withCString { path in
                let arguments = [here, Int(bitPattern: path), Int(flags), 0o600, 0, 0]
                return Answer(unsafe chostile_attempt_jailed(control, folder.path, number, arguments))
            }
        }
        func attemptCall(_ number: Int, _ arguments: [Int]) -> Answer {
            let padded = arguments + [Int](repeating: 0, count: 6 - arguments.count)
            return Answer(unsafe chostile_attempt_jailed(control, folder.path, number, padded))
        }
        for path in ["/etc/passwd", "/proc/self/status", "/dev/kvm", "/usr", "\(folder.path)/../../etc"] {
            #expect(attempt(openat, path, O_RDONLY) == .error(ENOENT), "\(path)")
        }
        #expect(attempt(openat, "/new", O_WRONLY | O_CREAT) == .error(EROFS))
        for (path, flags) in [
            ("/", O_RDONLY), ("\(folder.path)/file", O_RDWR), ("\(folder.path)/new", O_CREAT | O_RDWR),
        ] {
            guard case .result = attempt(openat, path, flags) else {
                Issue.record("\(path) of the jail's own")
                continue
            }
        }
        #expect(attemptCall(connect, [-1]) == .error(EBADF))
        // Namespaces, mounts, programs: the rest is the same filter as without a jail.
        for forbidden in Self.kernel.prefix(6) + Self.programs {
            #expect(attemptCall(forbidden.number, forbidden.arguments) == .refused, "\(forbidden)")
        }
    }

    @Test(.enabled(if: (ProcessRights.landlockVersion ?? 0) >= 7, "needs Landlock's scope of signals"))
    func `no thread sends a signal to another process`() {
        let process = Int(getpid())
        let (kill, tgkill) = (62, 234)
        for kind in Self.kinds {
            #expect(Self.attempt(kind.bit, tgkill, [process, process, 0]) == .error(EPERM), "\(kind.name)")
            let answer: Answer = kind.bit == CInt(CHOST_CONTROL) ? .error(EPERM) : .refused
            #expect(Self.attempt(kind.bit, kill, [process, 0]) == answer, "\(kind.name)")
        }
    }

    @Test func `only a vsock's thread and the machine's own connect to sockets`() {
        let answers = Self.kinds.map { Self.attempt($0.bit, 42, [-1, 0, 0]) }  // connect
        #expect(answers == [.refused, .refused, .refused, .error(EBADF), .error(EBADF)])
        let sockets = Self.kinds.map { Self.attempt($0.bit, 41, [1, 1, 0]) }  // socket
        #expect(sockets.prefix(3) == [.refused, .refused, .refused])
        for answer in sockets[3...] {
            guard case .result = answer else {
                Issue.record("a Unix socket: \(answer)")
                continue
            }
        }
    }

    @Test func `hostile code keeps no process alive whose call was refused`() {
        for kind in Self.kinds {
            // rt_sigaction of SIGSYS, at an address whose lower half is 0.
            #expect(Self.attempt(kind.bit, 13, [Int(SIGSYS), 0x7_0000_0000, 0, 8]) == .refused, "\(kind.name)")
            #expect(Self.attempt(kind.bit, 13, [Int(SIGSYS), 0, 0, 8]) == .result(0), "\(kind.name)")
            #expect(Answer(chostile_attempt_blocked(kind.bit, 59)) == .refused, "\(kind.name)")
        }
    }

    @Test func `calls by other numbers for the same are refused`() {
        for kind in Self.kinds {
            #expect(Self.attempt(kind.bit, 0x4000_0000 | 39, []) == .refused, "\(kind.name), x32")
            #expect(Answer(chostile_attempt_32(kind.bit)) == .refused, "\(kind.name), int 0x80")
        }
    }

    @Test func `the C library is told that there is no clone3`() {
        let answers = Self.kinds.map { Self.attempt($0.bit, 435, []) }
        #expect(answers == [.refused, .refused, .refused, .refused, .error(ENOSYS)])
    }
}
