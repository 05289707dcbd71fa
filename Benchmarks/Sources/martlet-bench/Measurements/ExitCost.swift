// SPDX-License-Identifier: Apache-2.0

/// One exit for a port access: Martlet's bus and UART against a switch statement in C.
enum ExitCost: Benchmark {
    static let name = "exit"
    static let summary = "one port-I/O exit handled by a Swift device, against the bare C loop around KVM_RUN"

    private static let few: UInt32 = 500
    private static let many: UInt32 = 50_000

    /// A run of one program with one guest.
    private enum Run {
        case martletFew, bareFew, martletMany, bareMany
    }

    static func run(_ context: BenchmarkContext) throws -> Report {
        func guest(_ count: UInt32) throws -> String {
            var code = GuestCode()
            code.writeAndRead(GuestCode.Port.serialScratch, count: count)
            code.end()
            return try context.folder.write(TinyELF.image(of: code), to: "exits-\(count).elf")
        }
        let (short, long) = (try guest(few), try guest(many))
        let bare = try context.sibling("bare-kvm")
        let usages = try context.interleave([
            (Run.martletFew, { try context.martletRun(short).run() }),
            (Run.bareFew, { try Command(bare, [short]).run() }),
            (Run.martletMany, { try context.martletRun(long).run() }),
            (Run.bareMany, { try Command(bare, [long]).run() }),
        ])
        // The difference of two runs has only exits in it: two for each turn of the guest's loop.
        func cost(_ few: Run, _ many: Run, _ number: (ProcessUsage) -> Double) -> Samples {
            (Samples(usages[many], number) - Samples(usages[few], number)).map {
                $0 / Double(2 * (Self.many - Self.few))
            }
        }
        let martlet = cost(.martletFew, .martletMany, \.wallSeconds)
        let plain = cost(.bareFew, .bareMany, \.wallSeconds)
        let martletProcessor = cost(.martletFew, .martletMany, \.processorSeconds)
        let plainProcessor = cost(.bareFew, .bareMany, \.processorSeconds)
        return Report(
            benchmark: name,
            rows: [
                Row("one exit, Martlet", .seconds, martlet),
                Row("one exit, bare C", .seconds, plain),
                Row("one exit, Martlet / bare C", .ratio, martlet / plain, atMost: 1.05),
                Row("processor time of one exit, Martlet", .seconds, martletProcessor),
                Row("processor time of one exit, bare C", .seconds, plainProcessor),
                Row("processor time of one exit, Martlet / bare C", .ratio, martletProcessor / plainProcessor),
                Row("user time of one exit, Martlet", .seconds, cost(.martletFew, .martletMany, \.userSeconds)),
                Row("user time of one exit, bare C", .seconds, cost(.bareFew, .bareMany, \.userSeconds)),
                Row("exits, Martlet", .perSecond, martlet.map { 1 / $0 }),
            ]
        )
    }
}
