// SPDX-License-Identifier: Apache-2.0

/// The unit of a number, and its notation.
enum Unit: String, Sendable {
    case seconds
    case bytes
    case bytesPerSecond = "bytes per second"
    case count
    /// A multiple of what the process gets or takes.
    case ratio

    /// A number with its unit, to about three digits.
    func text(_ value: Double) -> String {
        guard value.isFinite else { return "?" }
        switch self {
        case .seconds: return Self.scaled(value, [(1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")])
        case .bytes: return Self.scaled(value, Self.byteScale)
        case .bytesPerSecond: return Self.scaled(value, [(1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s")])
        case .count: return Self.digits(value, places: value == value.rounded() ? 0 : 1)
        case .ratio: return Self.threeDigits(value) + "×"
        }
    }

    /// A round number for a chart's scale, without zeros after the point: powers of ten have no round text in KiB.
    func tickText(_ value: Double) -> String {
        guard value > 0 else { return "0" }
        let decimal = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")]
        let text = self == .bytes ? Self.scaled(value * 1.0001, decimal) : text(value * 1.000001)
        let words = text.split(separator: " ", maxSplits: 1)
        guard let number = words.first, number.contains(".") else { return text }
        let whole = number.reversed().drop { $0 == "0" }.drop { $0 == "." }
        return ([String(whole.reversed())] + words.dropFirst().map(String.init)).joined(separator: " ")
    }

    private static let byteScale = [
        (Double(1 << 30), "GiB"), (Double(1 << 20), "MiB"), (Double(1 << 10), "KiB"), (1, "B"),
    ]

    private static func scaled(_ value: Double, _ scale: [(factor: Double, name: String)]) -> String {
        let step = scale.first { abs(value) >= $0.factor } ?? scale.last ?? (1, "")
        return threeDigits(value / step.factor) + " " + step.name
    }

    private static func threeDigits(_ value: Double) -> String {
        let size = abs(value)
        guard size >= 0.0005 else { return "0" }
        return digits(value, places: size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2)
    }

    /// A number with so many places after the point, and thousands apart.
    static func digits(_ value: Double, places: Int) -> String {
        let power = (0..<places).reduce(1.0) { power, _ in power * 10 }
        let scaled = (abs(value) * power).rounded()
        guard scaled < 1e15 else { return "\(value)" }
        let whole = Int64(scaled) / Int64(power)
        let fraction = String(Int64(scaled) % Int64(power))
        var text = ""
        for (index, digit) in String(whole).reversed().enumerated() {
            if index > 0, index % 3 == 0, whole >= 10000 { text.append(",") }
            text.append(digit)
        }
        let sign = value < 0 && scaled > 0 ? "-" : ""
        let tail = places == 0 ? "" : "." + String(repeating: "0", count: places - fraction.count) + fraction
        return sign + String(text.reversed()) + tail
    }
}
