// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The events that a guest can announce through pvpanic (QEMU, docs/specs/pvpanic.rst).
package struct PvpanicEvents: OptionSet, Codable, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `PVPANIC_PANICKED`: the kernel has panicked.
    package static let panicked = Self(rawValue: 1 << 0)
    /// `PVPANIC_CRASH_LOADED`: the kernel has panicked and starts its crash kernel.
    package static let crashLoaded = Self(rawValue: 1 << 1)
    /// `PVPANIC_SHUTDOWN`: the guest shuts down in good order.
    package static let shutDown = Self(rawValue: 1 << 2)

    /// Every event of the specification.
    package static let supported: Self = [.panicked, .crashLoaded, .shutDown]
}

/// The state of a `Pvpanic` for a snapshot.
package struct PvpanicState: Codable, Hashable, Sendable {
    /// Everything that the guest has announced so far.
    package var announced: PvpanicEvents = []

    package init() {}
}

/// The paravirtual panic notifier: one 8-bit port (QEMU, docs/specs/pvpanic.rst).
///
/// A read gives the events that this device supports; a write announces events, bits that it does not support are
/// ignored.
package final class Pvpanic: ByteWideDevice {
    private let announced: Mutex<PvpanicEvents>
    private let onRequest: GuestRequestHandler
    private let faults: GuestFaultLog

    package init(
        state: PvpanicState = PvpanicState(),
        faults: GuestFaultLog = GuestFaultLog(device: "pvpanic"),
        onRequest: @escaping GuestRequestHandler
    ) {
        self.announced = Mutex(state.announced.intersection(.supported))
        self.faults = faults
        self.onRequest = onRequest
    }

    package var state: PvpanicState {
        var state = PvpanicState()
        state.announced = announced.withLock { $0 }
        return state
    }

    package func restore(_ state: PvpanicState) {
        announced.withLock { $0 = state.announced.intersection(.supported) }
    }

    package func readByte(at offset: UInt64) -> UInt8 {
        offset == 0 ? PvpanicEvents.supported.rawValue : 0xff
    }

    package func writeByte(_ value: UInt8, at offset: UInt64) {
        let written = PvpanicEvents(rawValue: value)
        let events = offset == 0 ? written.intersection(.supported) : []
        if offset != 0 || events != written || events.isEmpty {
            faults.record("write of 0x\(String(value, radix: 16)) at offset \(offset): events that do not exist")
        }
        announced.withLock { $0.formUnion(events) }
        // A guest that loads a crash kernel has not ended: say so first.
        if events.contains(.crashLoaded) { onRequest(.crashLoaded) }
        if events.contains(.panicked) { onRequest(.panicked) }
        if events.contains(.shutDown) { onRequest(.shutDown) }
    }
}
