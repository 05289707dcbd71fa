// SPDX-License-Identifier: Apache-2.0

import Devices
import Logging
import Storage
import SystemPackage
import Virtio

/// A disk of a running machine: the host's file, and the device in front of it.
struct Disk: Sendable {
    let path: FilePath
    let device: BlockDevice
    private let file: DiskFile

    /// Opens and locks the file, and makes its device.
    ///
    /// - Parameters:
    ///   - configuration: Validated.
    ///   - name: What the guest calls it, for messages: `vda`.
    ///   - logger: Where errors of the host's file are said.
    /// - Throws: `MachineError.storage` where the file cannot be used as a disk.
    init(_ configuration: DiskConfiguration, name: String, logger: Logger) throws(MachineError) {
        path = configuration.path
        let engine: any StorageEngine
        do throws(StorageError) {
            file = try DiskFile(
                path: configuration.path,
                isReadOnly: configuration.isReadOnly,
                isDirect: configuration.isDirect
            )
            engine = try configuration.engine.makeEngine(for: file, capacity: BlockDevice.requestCapacity)
        } catch {
            throw .storage(error)
        }
        var properties = DiskProperties(byteCount: file.byteCount)
        properties.isReadOnly = configuration.isReadOnly
        properties.logicalBlockByteCount = UInt32(clamping: file.logicalBlockSize)
        properties.physicalBlockByteCount = UInt32(clamping: file.physicalBlockSize)
        properties.optimalIOByteCount = UInt32(clamping: file.optimalIOSize)
        properties.canDiscard = file.canDiscard
        properties.identifier = configuration.identifier ?? ""
        do throws(Errno) {
            device = try BlockDevice(
                disk: properties,
                engine: engine,
                queueCount: configuration.queueCount,
                limits: configuration.rateLimit.map { RateLimiter($0) },
                hostFaults: GuestFaultLog(device: "disk \(name) (\(path))", logger: logger, level: .warning)
            )
        } catch {
            throw .descriptor("disk \(path)", error)
        }
    }

    /// Takes another file, or looks again at the same one.
    func replaceFile(by path: FilePath) throws(MachineError) {
        _ = rescan()
    }

    /// Looks how large the file is now, and tells the guest.
    ///
    /// - Returns: Whether the size has changed.
    func rescan() -> Bool {
        device.resize(toByteCount: file.byteCount)
    }
}
