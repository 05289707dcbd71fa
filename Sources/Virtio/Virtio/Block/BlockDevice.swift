// SPDX-License-Identifier: Apache-2.0

package import Devices
package import Host
package import Storage
import Synchronization
package import SystemPackage

/// A virtio block device (virtio 1.2, section 5.2) in front of a disk of the host's.
///
/// Data goes straight between guest memory and the disk. Whatever thread brings a kick, a completion or a reset takes the
/// lock of `requests`; the driver's registers never wait for it, except in a reset.
package final class BlockDevice: VirtioDevice {
    /// The size of each virtqueue.
    package static let queueSize: UInt16 = 256
    /// How many requests may be in flight; what the driver sends beyond waits in its virtqueue.
    package static let requestCapacity = 256
    package static let queueCounts = 1...16

    package let deviceID: UInt32 = 2
    package let features: VirtioFeatures
    package let queueMaximumSizes: [UInt16]

    private let configuration: Mutex<BlockConfigurationSpace>
    /// Whether the driver may change the writeback mode.
    private let canSetWriteback = Atomic<Bool>(false)
    private let requests: Mutex<BlockRequestQueue>
    private let completions: EventFD
    private let continuation: EventFD
    private let throttle: TimerFD

    /// - Parameters:
    ///   - disk: What the driver is told.
    ///   - engine: Does the input and output, for `requestCapacity` requests or more.
    ///   - queueCount: The number of virtqueues, 1 to 16.
    ///   - limits: Limits the rate of requests.
    ///   - hostFaults: Where errors of the host are said, at a limited rate.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(
        disk: DiskProperties,
        engine: sending any StorageEngine,
        queueCount: Int = 1,
        limits: RateLimiter? = nil,
        hostFaults: GuestFaultLog
    ) throws(Errno) {
        precondition(Self.queueCounts.contains(queueCount), "a block device has 1 to 16 virtqueues")
        var features: VirtioFeatures = [
            .version1, .ringIndirectDescriptors, .ringEventIndex, .blockSizeMaximum, .blockSegmentMaximum,
            .blockBlockSize, .blockTopology, .blockFlush, .blockConfigurableWriteback, .blockMultiqueue,
        ]
        if disk.isReadOnly { features.insert(.blockReadOnly) }
        if disk.canDiscard, !disk.isReadOnly { features.formUnion([.blockDiscard, .blockWriteZeroes]) }
        self.features = features
        queueMaximumSizes = Array(repeating: Self.queueSize, count: queueCount)
        configuration = Mutex(BlockConfigurationSpace(disk, queueCount: queueCount))
        completions = engine.completionEvent
        continuation = try EventFD()
        throttle = try TimerFD()
        let wakers = BlockRequestQueue.Wakers(continuation: continuation, throttle: throttle)
        requests = Mutex(
            BlockRequestQueue(disk: disk, engine: engine, limits: limits, wakers: wakers, hostFaults: hostFaults)
        )
    }

    package var eventSources: [EventLoop.Source] {
        [
            EventLoop.Source(completions.descriptor) { [self] in handleCompletions() },
            EventLoop.Source(continuation.descriptor) { [self] in resume() },
            EventLoop.Source(throttle.descriptor) { [self] in resume() },
        ]
    }

    // MARK: - The transport's side

    package func connect(_ interrupt: any VirtioInterrupt) {
        requests.withLock { $0.interrupt = interrupt }
    }

    package func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan) {
        let bytes = configuration.withLock { $0.bytes }
        for index in 0..<data.byteCount {
            let (position, overflow) = offset.addingReportingOverflow(UInt64(index))
            let isInside = !overflow && position < UInt64(bytes.count)
            data.storeBytes(of: isInside ? bytes[Int(position)] : 0, toByteOffset: index, as: UInt8.self)
        }
    }

    package func writeConfiguration(at offset: UInt64, from data: RawSpan) {
        guard
            offset == BlockConfigurationSpace.writebackOffset, data.byteCount == 1,
            canSetWriteback.load(ordering: .relaxed)
        else { return }
        configuration.withLock { $0.isWriteback = data.byte(at: 0) != 0 }
    }

    package func accept(_ features: VirtioFeatures) {
        // 5.2.5.1: without either feature nobody can ask for a flush, so each write has to be durable.
        let isConfigurable = features.contains(.blockConfigurableWriteback)
        canSetWriteback.store(isConfigurable, ordering: .relaxed)
        configuration.withLock { $0.isWriteback = isConfigurable || features.contains(.blockFlush) }
    }

    package func activate(_ context: ActivationContext) throws(VirtqueueFault) {
        try requests.withLock { requests throws(VirtqueueFault) in try requests.activate(context) }
    }

    package func reset() {
        requests.withLock { $0.reset() }
        canSetWriteback.store(false, ordering: .relaxed)
        configuration.withLock { $0.isWriteback = true }
    }

    package func processQueue(_ index: Int) {
        requests.withLock { $0.process(index, configuration: configuration.withLock { $0 }) }
    }

    // MARK: - The host's side

    /// Returns to the driver what the engine has completed.
    package func handleCompletions() {
        requests.withLock { $0.handleCompletions(configuration: configuration.withLock { $0 }) }
    }

    private func resume() {
        requests.withLock { $0.resume(configuration: configuration.withLock { $0 }) }
    }

    package func drain() {
        requests.withLock { $0.drain() }
    }

    /// Limits the rate of requests from now on.
    ///
    /// - Parameter limits: `nil` for no limit.
    package func setLimits(_ limits: RateLimiter?) {
        requests.withLock { $0.limits = limits }
        // What the old limits hold back may go on.
        continuation.signal()
    }

    /// What the device has done so far.
    package var statistics: BlockStatistics {
        requests.withLock { $0.statistics }
    }

    /// Puts another disk in the place of this one, when nothing is in flight; the driver is told of its size.
    ///
    /// What the driver knows already stays as it is: block size, whether it may write, what it can discard.
    ///
    /// - Parameters:
    ///   - disk: The other disk.
    ///   - makeEngine: Makes its engine, which has to use the given completion event.
    /// - Throws: What `makeEngine` throws; then nothing has changed.
    package func replace(
        by disk: DiskProperties,
        engine makeEngine: (EventFD) throws(StorageError) -> sending any StorageEngine
    ) throws(StorageError) {
        try requests.withLock { requests throws(StorageError) in
            let engine = try makeEngine(completions)
            requests.replace(disk, engine)
        }
        resize(toByteCount: disk.byteCount)
    }

    /// Tells the driver that the disk has another size now (5.2.4): its capacity changes at once.
    ///
    /// - Parameter byteCount: The size of the disk.
    /// - Returns: Whether that was news.
    @discardableResult
    package func resize(toByteCount byteCount: UInt64) -> Bool {
        let isNews = configuration.withLock { configuration in
            let capacity = byteCount / 512
            guard configuration.capacity != capacity else { return false }
            configuration.capacity = capacity
            return true
        }
        if isNews { requests.withLock { $0.interrupt }?.notifyConfigurationChange() }
        return isNews
    }
}

extension BlockConfigurationSpace {
    /// What a discard or write-zeroes request may cover at most: 2 GiB in one range.
    private static let rangeSectorMaximum: UInt32 = 1 << 22
    static let rangeSegmentMaximum: UInt32 = 32

    init(_ disk: DiskProperties, queueCount: Int) {
        let logical = max(disk.logicalBlockByteCount, 512)
        let physical = max(disk.physicalBlockByteCount, logical)
        self.init(
            capacity: disk.byteCount / 512,
            sizeMaximum: 1 << 22,
            // Header and status take a descriptor each (5.2.6.1).
            segmentMaximum: UInt32(BlockDevice.queueSize) - 2,
            blockSize: logical,
            physicalBlockExponent: UInt8((physical / logical).trailingZeroBitCount),
            optimalIOSize: disk.optimalIOByteCount / logical,
            isWriteback: true,
            queueCount: UInt16(queueCount),
            rangeSectorMaximum: disk.canDiscard ? Self.rangeSectorMaximum : 0,
            rangeSegmentMaximum: disk.canDiscard ? Self.rangeSegmentMaximum : 0,
            discardAlignment: disk.canDiscard ? physical / 512 : 0
        )
    }
}
