// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import Host
import Logging
import Machine
import MachineAPI
import MachineModel
import Synchronization
import SystemPackage

/// The console of the machine, and the terminal of this process.
extension MachineSession {
    /// Makes the console, where anybody can come to it.
    func makeConsole(_ log: MonitorLog) throws(MachineError) -> MachineConsole? {
        guard settings.apiSocket != nil || settings.consoleLog != nil else { return nil }
        var file: ConsoleLog?
        if let path = settings.consoleLog {
            do throws(Errno) {
                file = try ConsoleLog(path: path)
            } catch {
                throw .consoleFile(path, error)
            }
        }
        do throws(Errno) {
            return try MachineConsole(log: file, logger: log.logger)
        } catch {
            throw .descriptor("the console", error)
        }
    }

    var takesKeys: Bool { settings.console == .standard && Terminal.isTerminal(.standardInput) }

    var attachment: ConsoleAttachment {
        guard settings.console == .standard else { return ConsoleAttachment() }
        var attachment = ConsoleAttachment(output: .standardOutput, input: .standardInput)
        attachment.dropsOutput = settings.dialect == .firecracker
        // Data from a pipe is all the guest's.
        if takesKeys { attachment.filter = settings.escape }
        return attachment
    }

    /// Prints notes on the kernel's boot, and takes the terminal, just before the guest runs.
    func prepare(_ machine: VirtualMachine, _ log: MonitorLog) throws {
        settings.prepare?(machine)
        // A container's user asked for a program, not for a machine.
        let notes = settings.program == nil || settings.isVerbose ? machine.notes : []
        for note in notes {
            switch settings.audience {
            case .user: Messages.write(note)
            case .log: log.logger.info("\(note)")
            }
        }
        guard takesKeys, machine.readsInput else { return }
        if settings.audience == .user {
            let (prefix, name) = (settings.escape.prefix, settings.escape.prefixName)
            Messages.write(
                "the console is on this terminal"
                    + (prefix == nil ? ", all keys go to the guest" : ": \(name) x stops the machine, \(name) h helps")
            )
        }
        try Terminal.enterRawMode(.standardInput)
    }

    func handle(_ event: MachineEvent, _ log: MonitorLog) {
        switch event {
        case .message(let text): Messages.write(text)
        case .detach:
            Messages.write("this machine ends with this terminal: one with a --name can be left running")
        // A machine with a socket has other clients than this console.
        case .consoleHangUp where endsWithTerminal: end(by: SIGHUP)
        case .consoleFailed(.brokenPipe) where settings.apiSocket == nil: end(by: SIGPIPE)
        case .consoleFailed(.ioError) where endsWithTerminal && Terminal.isTerminal(.standardOutput): end(by: SIGHUP)
        case .consoleHangUp: break
        // Firecracker's jailer opens /dev/null for reading only, and says nothing of it either.
        case .consoleFailed(.badFileDescriptor) where settings.dialect == .firecracker: break
        case .consoleFailed(let errno):
            log.logger.warning("the console's output cannot be written: \(errno); the guest goes on without it")
        }
    }

    /// Indicates whether a machine ends when its terminal goes: one with a socket has other clients, and under nohup the
    /// guest continues.
    private var endsWithTerminal: Bool { settings.apiSocket == nil && !ProcessStart.isIgnored(SIGHUP) }
}
