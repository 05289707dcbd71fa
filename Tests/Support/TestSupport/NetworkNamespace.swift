// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A network of its own for a test: interfaces that it makes there are gone with it, and nothing leaves the host.
///
/// With `MARTLET_REQUIRE_KVM=1` the tests that need one are never skipped, as those that need KVM.
package enum NetworkNamespace {
    /// Shown with each test that is skipped.
    package static let reason = "needs root, /dev/net/tun and ip(8)"

    package static let isUsable: Bool = {
        let isRequired = unsafe getenv("MARTLET_REQUIRE_KVM").map { unsafe String(cString: $0) } == "1"
        let hasTools = unsafe access("/dev/net/tun", R_OK | W_OK) == 0 && access(program, X_OK) == 0
        return isRequired || (getuid() == 0 && hasTools)
    }()

    private static let program = "/sbin/ip"
    private static let networks: CInt = 0x4000_0000  // CLONE_NEWNET

    /// Calls `body` in a new network namespace, in which only the loopback interface is up.
    ///
    /// It is the thread's: programs that `body` starts are in it, other threads are not, and what it opens stays there.
    ///
    /// - Throws: `SystemCallFailure`, or what `body` throws.
    package static func run<R>(_ body: () throws -> R) throws -> R {
        let before = try checked(
            "open the network namespace",
            unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        )
        defer { close(before) }
        try checked("unshare", try gnuFunction("unshare", as: Unshare.self)(networks))
        defer { _ = try? gnuFunction("setns", as: SetNamespace.self)(before, networks) }
        // With IPv6 the kernel sends frames that no test asked for, such as its search for routers.
        try execute("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
        try ip("link set lo up")
        return try body()
    }

    /// Runs ip(8), as `ip("link set lo up")`.
    package static func ip(_ arguments: String) throws {
        try execute("\(program) \(arguments)")
    }

    /// Runs a line of shell, which must succeed.
    package static func execute(_ line: String) throws {
        let end = try ChildProcess("/bin/sh", ["-c", line], descriptors: [.null, .null, .copy(2)]).wait()
        guard end == .exited(0) else { throw MissedDeadline("`\(line)` to succeed: \(end)") }
    }

    private typealias Unshare = @convention(c) (CInt) -> CInt
    private typealias SetNamespace = @convention(c) (CInt, CInt) -> CInt
}
