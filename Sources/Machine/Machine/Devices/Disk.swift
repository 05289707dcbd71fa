// SPDX-License-Identifier: Apache-2.0

import Devices
import Host
import Logging
package import MachineModel
import Storage
import Synchronization
package import SystemPackage
package import Virtio

/// A disk of a running machine: the host's file, and the device in front of it.
package final class Disk: Sendable {
    package let id: DeviceID
    let device: BlockDevice
    private let configuration: Drive
    private let file: Mutex<DiskFile>
    private let hostFaults: GuestFaultLog
    private let threads: StorageThreads
    private let limit: Mutex<RateLimit?>

    /// Opens and locks the file, and makes its device.
    ///
    /// - Parameters:
    ///   - configuration: Validated.
    ///   - id: Its name.
    ///   - logger: Where errors of the host's file are said.
    /// - Throws: `MachineError.storage` where the file cannot be used as a disk.
    init(_ configuration: Drive, id: DeviceID, logger: Logger) throws(MachineError) {
        self.configuration = configuration
        self.id = id
        limit = Mutex(configuration.rateLimit)
        let file: DiskFile
        let engine: any StorageEngine
        let hostFaults = GuestFaultLog(device: "disk \(id) (\(configuration.path))", logger: logger, level: .warning)
        self.hostFaults = hostFaults
        threads = StorageThreads(id.name)
        do throws(StorageError) {
            file = try DiskFile(configuration, path: FilePath(hostText: configuration.path))
            engine = try configuration.engineKind.makeEngine(
                for: file,
                capacity: BlockDevice.requestCapacity,
                threads: threads,
                report: { hostFaults.record($0) }
            )
        } catch {
            throw .storage(error)
        }
        self.file = Mutex(file)
        do throws(Errno) {
            device = try BlockDevice(
                disk: DiskProperties(of: file, configuration),
                engine: engine,
                queueCount: configuration.queueCount,
                limits: configuration.rateLimit.map { RateLimiter($0) },
                hostFaults: hostFaults
            )
        } catch {
            throw .descriptor("disk \(configuration.path)", error)
        }
    }

    /// Starts the threads of its engine.
    func start(gate: StartGate?) throws(HostThreadError) {
        try threads.start(gate: gate)
    }

    /// The path of its file, as it is now.
    package var path: FilePath { file.withLock { $0.path } }

    /// The disk's counters so far.
    package var statistics: BlockStatistics { device.statistics }

    /// Limits how fast the disk is from now on.
    package func setRateLimit(_ limit: RateLimit?) {
        device.setLimits(limit.map { RateLimiter($0) })
        self.limit.withLock { $0 = limit }
    }

    /// The limit of how fast the disk is, as it is now.
    var rateLimit: RateLimit? { limit.withLock { $0 } }

    /// The size of its file in bytes, as the file system has it.
    var fileByteCount: UInt64 { file.withLock { $0.fileByteCount } }

    /// Copies its file to an empty one; nothing writes to it meanwhile.
    func copy(
        to copy: FileDescriptor,
        named path: FilePath,
        while isWanted: () -> Bool
    ) throws(StorageError) {
        let file = file.withLock { $0 }
        try file.copy(to: copy, named: path, while: isWanted)
    }

    /// Replaces the file, or checks the size of the same one again.
    ///
    /// - Parameter path: The file; it may have the path of the old one and be another one.
    /// - Throws: `MachineError.storage` where it cannot be used; the disk stays as it is.
    package func replaceFile(by path: FilePath) throws(MachineError) {
        guard !file.withLock({ $0.isNamed(path) }) else {
            rescan()
            return
        }
        do throws(StorageError) {
            let new = try DiskFile(configuration, path: path)
            let blockSize = file.withLock { $0.logicalBlockSize }
            guard new.logicalBlockSize == blockSize else {
                throw .otherBlockSize(path, new.logicalBlockSize, blockSize)
            }
            try device.replace(by: DiskProperties(of: new, configuration)) { event throws(StorageError) in
                try configuration.engineKind.makeEngine(
                    for: new,
                    capacity: BlockDevice.requestCapacity,
                    completionEvent: event,
                    threads: threads,
                    report: { [hostFaults] in hostFaults.record($0) }
                )
            }
            file.withLock { $0 = new }
        } catch {
            throw .storage(error)
        }
    }

    /// Checks the file's size, and notifies the guest.
    @discardableResult
    package func rescan() -> Bool {
        device.resize(toByteCount: file.withLock { $0.byteCount })
    }
}

extension DiskFile {
    fileprivate convenience init(_ configuration: Drive, path: FilePath) throws(StorageError) {
        try self.init(path: path, isReadOnly: configuration.isReadOnly, isDirect: configuration.isDirect)
    }
}

extension DiskProperties {
    /// The answer to the guest about a file.
    fileprivate init(of file: DiskFile, _ configuration: Drive) {
        self.init(byteCount: file.byteCount)
        isReadOnly = configuration.isReadOnly
        logicalBlockByteCount = UInt32(clamping: file.logicalBlockSize)
        physicalBlockByteCount = UInt32(clamping: file.physicalBlockSize)
        optimalIOByteCount = UInt32(clamping: file.optimalIOSize)
        canDiscard = file.canDiscard
        // As Firecracker's disks are, whose users expect no flush to be waited for.
        canFlush = configuration.cacheType == .writeback || !ProcessArguments.standsInForFirecracker
        identifier = configuration.serial ?? ""
    }
}

extension Drive {
    fileprivate var engineKind: StorageEngineKind {
        switch engine {
        case .threads: .threads
        case .ioUring: .ioUring
        case nil: .automatic
        }
    }
}
