// SPDX-License-Identifier: Apache-2.0

/// Console output: how fast a guest that polls the line status before each byte, as Linux does, gets rid of it.
enum SerialThroughput: Benchmark {
    static let name = "serial"
    static let summary = "console output of a guest that polls the UART, through a pipe"

    private static let few: UInt32 = 500
    private static let many: UInt32 = 50_000

    static func run(_ context: BenchmarkContext) throws -> Report {
        func command(_ count: UInt32) throws -> Command {
            var code = GuestCode()
            code.sendPolling(count: count)
            code.end()
            let image = try context.folder.write(TinyELF.image(of: code), to: "serial-\(count).elf")
            return context.martletRun(image, console: "stdio", output: .piped)
        }
        let (short, long) = (try command(few), try command(many))
        let usages = try context.interleave([
            (few, { try short.run() }),
            (many, { try long.run() }),
        ])
        let difference = Samples(usages[many], \.wallSeconds) - Samples(usages[few], \.wallSeconds)
        let rate = difference.map { Double(many - few) / $0 }
        return Report(benchmark: name, rows: [Row("console output, two exits a byte", .bytesPerSecond, rate)])
    }
}
