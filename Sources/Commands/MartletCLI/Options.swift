// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Console
import Machine

/// A size of memory, as people write it: `256M`, `4G`, `512MiB`; a number alone is in MiB.
struct MemorySize: ExpressibleByArgument, CustomStringConvertible {
    let byteCount: UInt64

    init(byteCount: UInt64) {
        self.byteCount = byteCount
    }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        let shift: UInt64
        switch argument.dropFirst(digits.count).lowercased() {
        case "b": shift = 0
        case "k", "kb", "kib": shift = 10
        case "", "m", "mb", "mib": shift = 20
        case "g", "gb", "gib": shift = 30
        case "t", "tb", "tib": shift = 40
        default: return nil
        }
        let (byteCount, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
        guard !overflow else { return nil }
        self.byteCount = byteCount
    }

    var description: String {
        "\(byteCount >> 20)M"
    }

    var defaultValueDescription: String { description }
}

/// The ends of a machine's console.
enum ConsoleOption: ExpressibleByArgument, CustomStringConvertible {
    case stdio
    case file(String)
    case nowhere

    init?(argument: String) {
        switch argument {
        case "stdio": self = .stdio
        case "none": self = .nowhere
        default:
            guard argument.hasPrefix("file:"), argument.count > 5 else { return nil }
            self = .file(String(argument.dropFirst(5)))
        }
    }

    var description: String {
        switch self {
        case .stdio: "stdio"
        case .file(let path): "file:\(path)"
        case .nowhere: "none"
        }
    }

    var defaultValueDescription: String { description }
}

/// The key before console commands.
struct EscapeKey: ExpressibleByArgument {
    static let standard = EscapeKey(filter: EscapeFilter(prefix: 0x01))

    let filter: EscapeFilter

    private init(filter: EscapeFilter) {
        self.filter = filter
    }

    init?(argument: String) {
        guard let filter = EscapeFilter(parsing: argument) else { return nil }
        self.filter = filter
    }

    var defaultValueDescription: String { "ctrl-a" }
}
