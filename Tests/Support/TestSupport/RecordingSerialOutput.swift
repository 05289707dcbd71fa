// SPDX-License-Identifier: Apache-2.0

import Devices
import Synchronization

/// A serial output that keeps every byte and has room as long as the test says so.
package final class RecordingSerialOutput: SerialOutput {
    private struct Contents {
        var bytes: [UInt8] = []
        var breaks: [Bool] = []
        var hasRoom = true
    }

    private let contents = Mutex(Contents())

    package init() {}

    package var hasRoom: Bool { contents.withLock { $0.hasRoom } }

    package func write(_ byte: UInt8) -> Bool {
        contents.withLock { contents in
            contents.bytes.append(byte)
            return contents.hasRoom
        }
    }

    package func setBreak(_ isActive: Bool) { contents.withLock { $0.breaks.append(isActive) } }

    /// Only changes what `hasRoom` says; call `SerialPort.outputBecameReady()` yourself.
    package func setRoom(_ hasRoom: Bool) { contents.withLock { $0.hasRoom = hasRoom } }

    package var bytes: [UInt8] { contents.withLock { $0.bytes } }

    package var breaks: [Bool] { contents.withLock { $0.breaks } }
}
