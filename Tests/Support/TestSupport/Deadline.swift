// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A point in time by which something must have happened, or the test fails.
///
/// Deadlines are there so that no test hangs, never to measure: each is many times what the slowest host needs.
package struct Deadline: Sendable {
    /// Enough for any guest that is not a whole operating system.
    package static let standard = Duration.seconds(90)

    private let end: ContinuousClock.Instant

    package init(after duration: Duration = standard) {
        end = .now + duration
    }

    package var hasPassed: Bool { ContinuousClock.now >= end }

    /// The time until it, in milliseconds as poll(2) wants them; 0 when it has passed.
    var milliseconds: CInt {
        let (seconds, attoseconds) = (end - .now).components
        return CInt(clamping: max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000))
    }

    /// Waits until `condition` holds, for what nothing announces: the state of a process or a terminal.
    ///
    /// - Parameters:
    ///   - what: What is waited for, in words.
    ///   - duration: How long at most.
    ///   - condition: Asked again and again.
    /// - Throws: `MissedDeadline`, or what `condition` throws.
    package static func wait(
        for what: String,
        within duration: Duration = standard,
        until condition: () throws -> Bool
    ) throws {
        let deadline = Deadline(after: duration)
        while try !condition() {
            guard !deadline.hasPassed else { throw MissedDeadline(what) }
            usleep(2000)
        }
    }
}

/// The error of a test that waited too long.
package struct MissedDeadline: Error, CustomStringConvertible {
    package let description: String

    package init(_ what: String, received: [UInt8]? = nil) {
        let seen = received.map { bytes in
            "; the last of \(bytes.count) bytes received: "
                + String(decoding: bytes.suffix(2000), as: UTF8.self).debugDescription
        }
        description = "waited in vain for \(what)" + (seen ?? "")
    }
}

/// A system call that a test needs and that failed.
package struct SystemCallFailure: Error, CustomStringConvertible {
    package let description: String

    init(_ operation: String, errno error: CInt = errno) {
        description = "\(operation): \(unsafe String(cString: strerror(error)))"
    }
}

/// The result of a system call that gives -1 for an error.
@discardableResult
package func checked<Result: SignedInteger>(_ operation: String, _ result: Result) throws(SystemCallFailure) -> Result {
    guard result >= 0 else { throw SystemCallFailure(operation) }
    return result
}
