// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import TestSupport

/// The host's resources in this process that a machine may leave behind.
struct ProcessResources: Equatable {
    /// The file of each open descriptor, without the standard streams.
    let descriptors: [String]
    /// The mappings that are as large as a guest's memory, or a vCPU's.
    let mappings: [String]
    /// The number of threads; Dispatch ends idle ones after seconds.
    let threadCount: Int

    init() throws {
        descriptors = (3..<256).compactMap { Self.target(of: $0) }.sorted()
        let maps = String(decoding: try FileContents.read("/proc/self/maps"), as: UTF8.self)
        mappings = maps.split(separator: "\n").filter(Self.isMachine).map(String.init)
        let status = String(decoding: try FileContents.read("/proc/self/status"), as: UTF8.self)
        let threads = status.split(separator: "\n").first { $0.hasPrefix("Threads:") }
        threadCount = threads.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }

    private static func target(of descriptor: CInt) -> String? {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = unsafe readlink("/proc/self/fd/\(descriptor)", &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }

    private static func isMachine(_ line: Substring) -> Bool {
        guard !line.contains("kvm-vcpu"), !line.contains("io_uring") else { return true }
        let bounds = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt64($0, radix: 16) }
        guard bounds.count == 2, let start = bounds.first, let end = bounds.last else { return false }
        // What is anonymous has no name; readable and writable is what is used.
        return end - start >= 16 << 20 && line.contains(" rw-p ") && line.split(separator: " ").count == 5
    }

    /// More than the threads of one machine, so that one thread a machine that is left shows beside those.
    private static let roundCount = 24

    /// Runs `body`, which makes and drops machines, several times, and waits until all that they had is given back.
    ///
    /// - Throws: `MissedDeadline` where something is left; what that is, the test's output shows.
    static func expectNoneLeft(_ body: (TemporaryFolder) async throws -> Void) async throws {
        let folder = try TemporaryFolder()
        // Dispatch makes what it needs for timers with the first one, on a thread of its own.
        await withCheckedContinuation { continuation in
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(1)) { continuation.resume() }
        }
        // The first one leaves what a process makes once: Dispatch's and the runtime's threads.
        try await body(folder)
        let before = try settled()
        for _ in 0..<roundCount { try await body(folder) }
        do {
            // The last threads of a machine may still be on their way out.
            try Deadline.wait(for: "all that machines had", within: .seconds(60)) {
                try ProcessResources().isWithin(before)
            }
        } catch {
            print("before: \(before)\nafter: \(try ProcessResources())")
            throw error
        }
    }

    private func isWithin(_ other: ProcessResources) -> Bool {
        descriptors.count <= other.descriptors.count && mappings.count <= other.mappings.count
            && threadCount <= other.threadCount
    }

    /// Waits until the threads of the first machines are gone: until nothing changes for a while.
    private static func settled() throws -> ProcessResources {
        try Deadline.wait(for: "no machine", within: .seconds(60)) {
            try !ProcessResources().descriptors.contains { $0.contains("kvm") }
        }
        return try ProcessResources()
    }
}
