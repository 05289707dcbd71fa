// SPDX-License-Identifier: Apache-2.0

import Devices
import Host
import KVM
import SystemPackage

/// An interrupt line whose edges the kernel takes from an eventfd: no call to KVM, and nothing blocks.
final class IRQFD: InterruptLine {
    private let event: EventFD

    init(vm: KVMVirtualMachine, gsi: UInt32) throws(MachineError) {
        do throws(Errno) {
            event = try EventFD()
        } catch {
            throw .descriptor("interrupt line \(gsi)", error)
        }
        do throws(KVMError) {
            try vm.connect(event, toGSI: gsi)
        } catch {
            throw .kvm(error)
        }
    }

    func trigger() {
        event.signal()
    }
}
