// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import Host
import Synchronization
import SystemPackage

/// The way from a machine's parts to the machine, which is made after them.
final class MachineLink: Sendable {
    private let machine = Mutex<WeakMachine>(WeakMachine())
    private let filter: EscapeFilter
    private let onEvent: @Sendable (MachineEvent) -> Void

    private struct WeakMachine {
        weak var value: VirtualMachine?
    }

    /// - Parameters:
    ///   - filter: The filter that finds console commands.
    ///   - onEvent: Called with events that the machine does not handle itself.
    init(filter: EscapeFilter, onEvent: @escaping @Sendable (MachineEvent) -> Void) {
        (self.filter, self.onEvent) = (filter, onEvent)
    }

    func connect(_ machine: VirtualMachine) {
        self.machine.withLock { $0.value = machine }
    }

    func handle(_ request: GuestRequest) {
        machine.withLock { $0.value }?.handle(request)
    }

    func handle(_ event: ConsoleEvent) {
        switch event {
        case .command(.detach): onEvent(.detach)
        case .command(let command):
            guard let machine = machine.withLock({ $0.value }) else { return }
            // A machine in this process throws nothing.
            if let text = try? command.carryOut(on: machine, filter) { onEvent(.message(text)) }
        case .hangUp: onEvent(.consoleHangUp)
        case .outputFailed(let errno): onEvent(.consoleFailed(errno))
        }
    }
}

extension VirtualMachine: ConsoleCommandTarget {
    // At once, whatever the terminal takes: as after a signal.
    package func commandStop() { stop(outputGrace: .seconds(1)) }
    package func commandDetach() -> String? { nil }
    package func commandSendBreak() { sendSerialBreak() }
    package func commandPressControlAltDelete() { pressControlAltDelete() }
    package func commandPressPowerButton() { pressPowerButton() }
    package func commandRescanDisks() -> [String] { rescanDisks().map(\.hostText) }
}
