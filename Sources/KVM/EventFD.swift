// SPDX-License-Identifier: Apache-2.0

import CKVM

/// An eventfd(2): the kernel's own "something happened", which KVM can wait for (irqfd) and give (ioeventfd).
package final class EventFD: Sendable {
    private let descriptor: OwnedDescriptor

    /// Makes an event that has not happened.
    package init() throws(KVMError) {
        descriptor = OwnedDescriptor(adopting: try kvmCall("eventfd") { ckvm_eventfd() })
    }

    package var rawValue: CInt {
        descriptor.rawValue
    }

    /// Makes it happen.
    ///
    /// Never blocks: a counter that is full says the same.
    package func signal() {
        // The only failure of an owned, non-blocking eventfd is the full counter.
        ckvm_eventfd_signal(descriptor.rawValue)
    }

    /// Takes all that has happened since the last call; 0 when nothing has.
    package func take() -> UInt64 {
        var count: UInt64 = 0
        return unsafe ckvm_eventfd_take(descriptor.rawValue, &count) == 0 ? count : 0
    }
}
