// SPDX-License-Identifier: Apache-2.0

/// A port that ends the machine with a status of the guest's choice.
///
/// Present only when asked for.
///
/// A write of 1, 2 or 4 bytes asks for `GuestRequest.exit` with the low 8 bits, unlike QEMU's `isa-debug-exit`, which
/// makes an odd number of the value, so that 0 is impossible. Reads give 0. It has no state.
package final class ExitStatusPort: BusDevice {
    private let onRequest: GuestRequestHandler
    private let faults: GuestFaultLog

    package init(
        faults: GuestFaultLog = GuestFaultLog(device: "exit-status port"),
        onRequest: @escaping GuestRequestHandler
    ) {
        self.faults = faults
        self.onRequest = onRequest
    }

    package func read(at offset: UInt64, into data: inout MutableRawSpan) {
        data.fill(with: 0)
    }

    package func write(at offset: UInt64, from data: RawSpan) {
        guard offset == 0, data.byteCount > 0 else {
            faults.record("write at offset \(offset)")
            return
        }
        onRequest(.exit(data.byte(at: 0)))
    }
}
