// SPDX-License-Identifier: Apache-2.0

/// From the start of the monitor's process to the guest's first instruction, and to the end of the process.
///
/// The guest's first act is to send a byte to the console, its second to end the machine.
enum MachineStart: Benchmark {
    static let name = "start"
    static let summary = "process start to the guest's first instruction and to the end, against QEMU microvm"

    /// What is measured.
    private enum Subject: String, CaseIterable {
        case martlet = "Martlet"
        case bare = "bare C"
        case microvm = "QEMU microvm"
        case resetVector = "QEMU microvm without its firmware"
    }

    private struct Times {
        let firstByte: Double
        let end: Double
    }

    static func run(_ context: BenchmarkContext) throws -> Report {
        let image = try context.folder.write(TinyELF.image(of: .firstByte), to: "first-byte.elf")
        let rom = try context.folder.write(ResetVectorROM.image(of: .firstByte), to: "first-byte.rom")
        var commands: [(Subject, Command, status: CInt)] = [
            (.martlet, context.martletRun(image, console: "stdio", output: .piped), 0),
            (.bare, Command(try context.sibling("bare-kvm"), [image], output: .piped), 0),
        ]
        var report = Report(benchmark: name)
        let hasQEMU = context.has(QEMU.program)
        if hasQEMU {
            // isa-debug-exit ends QEMU with 2 * value + 1.
            commands.append((.microvm, QEMU.microvm(["-kernel", image]), 1))
            commands.append((.resetVector, QEMU.microvm(["-bios", rom]), 1))
        } else {
            report.notes.append("QEMU is not installed (apt-get install qemu-system-x86)")
        }
        let times = try context.interleave(
            commands.map { subject, command, status in (subject, { try measure(command, expecting: status) }) }
        )
        func first(_ subject: Subject) -> Samples { Samples(times[subject], \.firstByte) }
        func end(_ subject: Subject) -> Samples { Samples(times[subject], \.end) }
        for (subject, _, _) in commands {
            report.rows.append(Row("first byte, \(subject.rawValue)", .seconds, first(subject)))
            report.rows.append(Row("process end, \(subject.rawValue)", .seconds, end(subject)))
        }
        guard hasQEMU else { return report }
        report.rows += [
            Row("first byte, Martlet / QEMU microvm", .ratio, first(.martlet) / first(.microvm), atMost: 0.5),
            Row("first byte, Martlet / QEMU without firmware", .ratio, first(.martlet) / first(.resetVector)),
            Row("process end, Martlet / QEMU microvm", .ratio, end(.martlet) / end(.microvm)),
        ]
        return report
    }

    private static func measure(_ command: Command, expecting status: CInt) throws -> Times {
        let child = try ChildProcess(command)
        let firstByte = try child.waitForOutput("!")
        let usage = try child.waitForEnd()
        guard usage.status == status else { throw BenchmarkError("\(command) ended with status \(usage.status)") }
        return Times(firstByte: firstByte, end: usage.wallSeconds)
    }
}

/// QEMU as small as it can be asked to be.
private enum QEMU {
    static let program = "qemu-system-x86_64"

    static func microvm(_ guest: [String]) -> Command {
        let machine = [
            "-M", "microvm", "-accel", "kvm", "-cpu", "host,-arch-capabilities", "-m", "128M", "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-device", "isa-debug-exit,iobase=0x501,iosize=4",
        ]
        return Command(program, machine + guest, output: .piped)
    }
}
