// SPDX-License-Identifier: Apache-2.0

import Host
import KVM
import Synchronization

/// A machine of KVM's that a thread of its own makes while the state of a snapshot is read.
///
/// The kernel takes about as long for the one as this process does for the other.
package final class HeadStart: Sendable {
    /// KVM, and a machine that has nothing yet.
    typealias Beginning = (system: KVMSystem, vm: KVMVirtualMachine)

    private final class Outcome: Sendable {
        let result = Mutex<Result<Beginning, KVMError>?>(nil)
    }

    private let outcome = Outcome()
    private let thread: HostThread?

    /// Starts; where the host gives no thread, the machine is made later.
    package init() {
        let outcome = outcome
        thread = try? HostThread("kvm") {
            let result = Result { () throws(KVMError) in try Self.begin() }
            outcome.result.withLock { $0 = result }
        }
    }

    /// Waits for the machine.
    ///
    /// - Returns: The machine, once; `nil` where there is none.
    /// - Throws: What kept KVM from making it.
    func take() throws(KVMError) -> Beginning? {
        thread?.join()
        return try outcome.result.withLock { $0.take() }?.get()
    }

    /// Opens KVM and makes a machine, on the calling thread.
    static func begin() throws(KVMError) -> Beginning {
        let system = try KVMSystem()
        let missing = system.missing(from: Capability.required)
        guard missing.isEmpty else { throw .missingCapabilities(missing) }
        return (system, try system.makeVirtualMachine())
    }
}
