// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The host on which a comparison ran, and when.
struct HostDescription: Sendable {
    let kernel: String
    let processor: String
    let processorCount: Int
    let memoryByteCount: Double
    let date: String
    let martletVersion: String
    let interpretsGuestKernels: Bool
    let workFolderIsInMemory: Bool
    /// The number of processes that wanted to run when it began, on average over a minute: it tells whether the host was idle.
    let load: Double

    /// Indicates whether more wanted to run than there are processors, before this began.
    var isBusy: Bool { load > Double(processorCount) }

    init(martletVersion: String, interpretsGuestKernels: Bool, workFolderIsInMemory: Bool) {
        self.martletVersion = martletVersion
        self.interpretsGuestKernels = interpretsGuestKernels
        self.workFolderIsInMemory = workFolderIsInMemory
        kernel = ((try? Files.text("/proc/sys/kernel/osrelease")) ?? "?").trimmed
        let lines = ((try? Files.text("/proc/cpuinfo")) ?? "").split(separator: "\n")
        processor =
            lines.first { $0.hasPrefix("model name") }?.split(separator: ":", maxSplits: 1).last.map {
                String($0).trimmed
            }
            ?? "?"
        processorCount = lines.count { $0.hasPrefix("processor") }
        memoryByteCount = MemoryInformation.value("MemTotal") ?? 0
        date = Self.now()
        load = ((try? Files.text("/proc/loadavg")) ?? "").split(separator: " ").first.flatMap { Double($0) } ?? 0
    }

    /// The time of now as RFC 3339 wants it, in UTC.
    private static func now() -> String {
        var seconds = time(nil)
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func two(_ value: CInt) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let day = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return unsafe day + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }
}

/// The figures of `/proc/meminfo`.
enum MemoryInformation {
    /// One of its values, in bytes.
    static func value(_ name: String) -> Double? {
        for line in ((try? Files.text("/proc/meminfo")) ?? "").split(separator: "\n") where line.hasPrefix("\(name):") {
            return line.split(separator: " ").dropFirst().first.flatMap { Double($0) }.map { $0 * 1024 }
        }
        return nil
    }
}

extension String {
    /// Without white space at its ends.
    var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
