// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
import Glibc
import Host
import KVM
import Synchronization

/// Runs one vCPU on a serial queue of its own, from the start of the machine to its end.
final class VCPURunner: Sendable {
    private let vcpu: KVMVCPU
    private let ports: Bus
    private let memory: Bus
    private let emulation: (any GuestCodeEmulation)?
    /// The vCPU's exits to this process so far.
    let exits = ExitCounters()
    private let isStopping = Atomic<Bool>(false)
    private let pausePoint = PausePoint()
    private let isAskedWhetherParked = Atomic<Bool>(false)
    private let isKnownParked = Atomic<Bool>(false)
    private let queue: DispatchQueue

    /// - Parameters:
    ///   - vcpu: Set up and ready to run.
    ///   - ports: The bus for port accesses.
    ///   - memory: The bus for MMIO accesses.
    ///   - emulation: The emulator of instructions that KVM lacks, on a host that needs it.
    init(vcpu: KVMVCPU, ports: Bus, memory: Bus, emulation: (any GuestCodeEmulation)?) {
        self.vcpu = vcpu
        self.ports = ports
        self.memory = memory
        self.emulation = emulation
        queue = DispatchQueue(label: "martlet.vcpu\(vcpu.index)")
    }

    /// The name of its thread.
    var name: String { "vcpu \(vcpu.index)" }

    /// Starts the guest's code, once the gate is open.
    ///
    /// May block until the host provides a thread. The queue is entered before the guest runs, and left at its end.
    ///
    /// - Parameters:
    ///   - gate: Holds the vCPU's thread until all of the machine's threads have arrived.
    ///   - ticket: The thread's ticket for the gate.
    ///   - onEnd: Called from the vCPU's thread when it has left the guest for the last time; with the outcome if the vCPU itself is the
    ///     reason for the end.
    func start(
        _ gate: StartGate,
        _ ticket: StartGate.Ticket,
        onEnd: @escaping @Sendable (MachineOutcome?) -> Void
    ) {
        queue.async { [self] in
            HostThread.withName(ticket.name) {
                guard gate.enter(ticket) else { return }
                let outcome = vcpu.withKicksEnabled { runUntilEnd() }
                pausePoint.end()
                onEnd(outcome)
            }
        }
    }

    /// Ends the run soon, whatever the vCPU is doing.
    ///
    /// May be called from any thread, its own included.
    func stop() {
        isStopping.store(true, ordering: .sequentiallyConsistent)
        pausePoint.release()
        vcpu.kick()
    }

    /// Takes the vCPU out of the guest until `resume`.
    ///
    /// - Parameter group: Entered for as long as the vCPU may still run.
    func pause(joining group: DispatchGroup) {
        pausePoint.hold(joining: group)
        vcpu.kick()
    }

    /// Resumes the vCPU.
    func resume() {
        pausePoint.release()
    }

    /// Takes the vCPU's state, while it is paused.
    func state(msrs registers: [UInt32]) throws(KVMError) -> VCPUState {
        try vcpu.state(msrs: registers)
    }

    /// Returns whether the vCPU was parked (see `KVMVCPU.isParked`) at its last answer; asks again, for the next call.
    ///
    /// The kernel answers no question about a vCPU that is in `KVM_RUN`, so it is kicked out for a moment.
    func wasParked() -> Bool {
        isAskedWhetherParked.store(true, ordering: .sequentiallyConsistent)
        vcpu.kick()
        return isKnownParked.load(ordering: .sequentiallyConsistent)
    }

    /// - Returns: The reason why the vCPU cannot continue, or `nil` when it was stopped.
    private func runUntilEnd() -> MachineOutcome? {
        // Indicates whether KVM may have to finish the last exit: it puts a device's answer into registers at the
        // next run only, and a paused vCPU must be in a state that can be saved.
        var isExitUnfinished = false
        var attempts = 0
        while !isStopping.load(ordering: .sequentiallyConsistent) {
            // Checked once: a caller that holds the vCPU after this kicks it as well, so that it comes here again with nothing unfinished.
            if pausePoint.isHeld {
                if isExitUnfinished {
                    vcpu.finishLastExitOnly()
                } else if pausePoint.pass() {
                    vcpu.notePause()
                    continue
                }
            }
            do throws(KVMError) {
                let exit = try vcpu.run()
                exits.count(exit)
                isExitUnfinished = exit != .interrupted
                if case .interrupted = exit {
                    try answer()
                } else if case .again = exit {
                    if let outcome = try tryAgain(&attempts) { return outcome }
                } else if let outcome = handle(exit) {
                    return outcome
                }
            } catch {
                return .failed(.kvm(error))
            }
        }
        return nil
    }

    /// Continues after a run that ended with `EAGAIN`.
    ///
    /// An application processor got its INIT, or the host denies the thread that KVM makes at a machine's first run, for its
    /// work on huge pages. Only the first case ends by itself.
    ///
    /// - Parameter attempts: The number of runs of a processor that could run and did not.
    /// - Returns: The machine's outcome, when that lasted for a second.
    /// - Throws: `KVMError`.
    private func tryAgain(_ attempts: inout Int) throws(KVMError) -> MachineOutcome? {
        guard try !vcpu.isParked() else { return nil }
        attempts += 1
        guard attempts > 1 else { return nil }
        // By a futex: the sandbox allows a vCPU's thread no other call that sleeps.
        _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(10))
        guard attempts > 100 else { return nil }
        return failure(
            """
            KVM does not run it: Resource temporarily unavailable; a limit of the host's is reached: threads of the pids cgroup \
            or of the user (ulimit -u)
            """
        )
    }

    private func answer() throws(KVMError) {
        guard isAskedWhetherParked.exchange(false, ordering: .sequentiallyConsistent) else { return }
        isKnownParked.store(try vcpu.isParked(), ordering: .sequentiallyConsistent)
    }

    /// Handles one exit: no allocation, no system call of its own, no lock held across a device's I/O.
    private func handle(_ exit: VCPUExit) -> MachineOutcome? {
        switch exit {
        case .portWrite(let port, _, let count):
            for element in 0..<count {
                vcpu.withPortData(element: element) { ports.write(at: UInt64(port), from: $0.bytes) }
            }
        case .portRead(let port, _, let count):
            for element in 0..<count {
                vcpu.withPortData(element: element) { ports.read(at: UInt64(port), into: &$0) }
            }
        case .mmioWrite(let address, _):
            vcpu.withMMIOData { memory.write(at: address, from: $0.bytes) }
        case .mmioRead(let address, _):
            vcpu.withMMIOData { memory.read(at: address, into: &$0) }
        case .interrupted, .again:
            break
        case .emulationFailure:
            return vcpu.isAtResetVector ? .reset : emulate()
        case .shutdown:
            return .tripleFault
        case .systemEvent(.shutdown):
            return .poweredOff
        case .systemEvent(.reset):
            return .reset
        case .systemEvent(.crash):
            return .panicked
        case .systemEvent(.other(let type)):
            return failure("system event \(type) is not one that Martlet knows")
        case .halt:
            return failure("HLT left the kernel although the interrupt controllers are there")
        case .internalError(let suberror):
            return failure("KVM internal error \(suberror)")
        case .failEntry(let reason):
            return failure("the processor refused to enter the guest, reason 0x\(String(reason, radix: 16))")
        case .other(let reason):
            return failure("KVM exit reason \(reason) is not one that Martlet asked for")
        }
        return nil
    }

    private func emulate() -> MachineOutcome? {
        do throws(MachineError) {
            guard let emulation else { throw try vcpu.unsupportedInstruction(reason: Self.noEmulation) }
            try emulation.completeInstruction(on: vcpu)
            return nil
        } catch {
            return .failed(error)
        }
    }

    private static let noEmulation = "KVM cannot emulate this instruction"

    private func failure(_ reason: String) -> MachineOutcome {
        .failed(.vcpuFailed(index: vcpu.index, reason: reason))
    }
}
