// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Synchronization

/// Device initialisation (virtio 1.2, 3.1) and reset (2.4), as the driver asks for them by writing the status.
extension MMIOTransport {
    func writeStatus(_ value: UInt32) {
        let readyQueues: [Int] = registers.withLock { registers in
            guard value != 0 else {
                reset(&registers)
                return []
            }
            return advance(to: DeviceStatus(rawValue: value), &registers)
        }
        // Buffers that the driver made available before it was ready, as 3.1.1 allows, and may never notify of.
        for index in readyQueues { onKick(index) }
    }

    private func reset(_ registers: inout MMIORegisters) {
        device.reset()
        registers.reset()
        interrupt.reset()
    }

    /// Takes the steps that `wanted` has and the status has not.
    ///
    /// - Returns: The queues of the device, if it was started.
    private func advance(to wanted: DeviceStatus, _ registers: inout MMIORegisters) -> [Int] {
        let current = interrupt.status
        let cleared = current.intersection(.settableByDriver).subtracting(wanted)
        guard cleared.isEmpty else {
            faults.record("status bits 0x\(String(cleared.rawValue, radix: 16)) are cleared only by a reset")
            return []
        }
        // In any state: the driver may set FAILED at any time.
        if wanted.contains(.failed), !current.contains(.failed) {
            faults.record("the driver has given up")
            interrupt.insert(.failed)
        }
        var readyQueues: [Int] = []
        var previous: DeviceStatus = []
        for step in DeviceStatus.steps {
            defer { previous = step }
            guard wanted.contains(step), !current.contains(step) else { continue }
            let status = interrupt.status
            guard status.isDisjoint(with: [.deviceNeedsReset, .failed]), status.contains(previous) else {
                faults.record(
                    "status 0x\(String(wanted.rawValue, radix: 16)) out of order, at 0x\(String(status.rawValue, radix: 16))"
                )
                break
            }
            switch step {
            case .featuresOK: acceptFeatures(registers)
            case .driverOK: readyQueues = activate(registers)
            default: interrupt.insert(step)
            }
        }
        return readyQueues
    }

    private func acceptFeatures(_ registers: MMIORegisters) {
        do throws(FeatureRefusal) {
            if let problem = registers.featureProblem { throw FeatureRefusal(problem) }
            try device.accept(registers.driverFeatures)
            interrupt.insert(.featuresOK)
        } catch {
            // The driver reads the status back and finds the bit clear (3.1.1, step 6).
            faults.record("FEATURES_OK refused: \(error.reason)")
        }
    }

    /// - Returns: The queues that the driver made ready, if the device runs.
    private func activate(_ registers: MMIORegisters) -> [Int] {
        let queues = registers.readyQueues
        let context = ActivationContext(memory: memory, features: registers.driverFeatures, queues: queues)
        activated.store(true, ordering: .relaxed)
        do throws(VirtqueueFault) {
            try device.activate(context)
        } catch {
            interrupt.notifyNeedsReset(error)
        }
        // After `activate`: a kick that another vCPU sends at the sight of this bit finds the device ready for it.
        interrupt.insert(.driverOK)
        return interrupt.status.contains(.deviceNeedsReset) ? [] : queues.indices.filter { queues[$0] != nil }
    }
}
