// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
import Storage
import Synchronization
import SystemPackage

/// The two directions of a machine's console: from the serial port to all that watch, and back from all that type.
final class MachineConsole: SerialOutput, SerialInput {
    let output: ConsoleOutput?
    let input: ConsoleInput?
    let hub: ConsoleHub?
    let channel: ConsoleChannel?
    private let outputLimit: Mutex<TokenBucket>?

    /// - Parameters:
    ///   - attachment: Where the directions lead; with nothing in it, what the guest sends is dropped.
    ///   - link: Is told of commands and failures.
    /// - Throws: `Errno` when the process has no descriptor left.
    init(_ attachment: ConsoleAttachment, link: MachineLink) throws(Errno) {
        output = try attachment.output.map { file throws(Errno) in
            try ConsoleOutput(file: file) { link.handleConsoleFailure($0) }
        }
        input = try attachment.input.map { file throws(Errno) in
            try ConsoleInput(file: file, filter: attachment.filter) { link.handle($0) }
        }
        hub = attachment.hub
        channel = attachment.channel
        outputLimit = attachment.outputLimit.flatMap(TokenBucket.init).map { Mutex($0) }
    }

    // MARK: - The serial port's side

    var hasRoom: Bool {
        output?.hasRoom != false && hub?.hasRoom != false && channel?.hasRoom != false
    }

    func write(_ byte: UInt8) {
        guard isAllowed() else { return }
        output?.write(byte)
        hub?.write(byte)
        channel?.write(byte)
    }

    /// Whether the limit allows one more byte.
    private func isAllowed() -> Bool {
        outputLimit?.withLock { bucket in
            guard bucket.wait(for: 1, at: .now) == .zero else { return false }
            bucket.take(1)
            return true
        } ?? true
    }

    func serialPortIsReady() {
        input?.serialPortIsReady()
        hub?.serialPortIsReady()
        channel?.serialPortIsReady()
    }

    /// Whether anything can be typed; without, the port's line is silent.
    var takesInput: Bool { input != nil || hub != nil || channel != nil }

    // MARK: - Life

    /// Connects both directions to the serial port.
    func start(port: SerialPort) {
        output?.setRoomHandler { [weak port] in port?.outputBecameReady() }
        output?.start()
        input?.start(port: port)
        hub?.start(port: port)
        channel?.start(port: port)
    }

    /// Writes out what the guest sent, and takes no more of either direction.
    func finish() {
        input?.stop()
        output?.finish()
        hub?.finish()
        channel?.close()
    }

    /// Gives up, after `grace`, on a reader of the output that does not read.
    func abandonOutput(after grace: DispatchTimeInterval, on queue: DispatchQueue) {
        guard let output else { return }
        queue.asyncAfter(deadline: .now() + grace) { output.abandon() }
    }
}
