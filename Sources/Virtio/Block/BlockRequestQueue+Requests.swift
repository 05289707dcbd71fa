// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import HostEvents
import Storage
import SystemPackage

/// What happens to one request: taken from its virtqueue, checked, started, completed (virtio 1.2, 5.2.6).
extension BlockRequestQueue {
    // MARK: - Taking

    /// Takes and starts what the driver made available in virtqueue `index`.
    mutating func pop(from index: Int, _ configuration: BlockConfigurationSpace) throws(VirtqueueFault) {
        guard !isFaulty, let active, active.queues.indices.contains(index), let queue = active.queues[index] else {
            return
        }
        guard throttled == nil else {
            backlog |= 1 << index
            return
        }
        // One turn; a driver that never stops must not keep the others, or a reset, waiting.
        var turn = Int(queue.configuration.size)
        queue.disableKicks()
        repeat {
            while true {
                guard turn > 0 else {
                    backlog |= 1 << index
                    wakers.continuation.signal()
                    return finishTurn()
                }
                guard let transfer = free.popLast() else {
                    finishTurn()
                    if !free.isEmpty { continue }
                    backlog |= 1 << index
                    return
                }
                guard try popOrReturn(transfer, from: queue) else { break }
                turn -= 1
                transfer.queue = index
                try start(transfer, configuration)
                if throttled != nil {
                    backlog |= 1 << index
                    return finishTurn()
                }
            }
            finishTurn()
        } while try queue.enableKicks()
    }

    private mutating func popOrReturn(
        _ transfer: BlockTransfer,
        from queue: Virtqueue
    ) throws(VirtqueueFault) -> Bool {
        do {
            if try queue.pop(into: &transfer.chain) { return true }
        } catch {
            free.append(transfer)
            finishTurn()
            throw error
        }
        free.append(transfer)
        return false
    }

    /// Much of what the page cache serves is complete as soon as it is started.
    mutating func finishTurn() {
        engine.commit()
        takeCompletions()
    }

    // MARK: - Starting

    /// Checks a request, and starts it or answers it at once.
    mutating func start(_ transfer: BlockTransfer, _ configuration: BlockConfigurationSpace) throws(VirtqueueFault) {
        guard let active else { return free.append(transfer) }
        let chain = transfer.chain
        // Without a header there is no request, and without room for the status no answer.
        guard chain.readableByteCount >= BlockRequestHeader.byteCount, chain.writableByteCount >= 1 else {
            free.append(transfer)
            throw .malformedRequest("a request of a block device has a header of 16 bytes and a status byte")
        }
        let header = BlockRequestHeader(active.memory.words(of: chain.readable, at: 0))
        let dataByteCount =
            switch header.kind {
            case .read: chain.writableByteCount - 1
            case .write: chain.readableByteCount - BlockRequestHeader.byteCount
            default: 0
            }
        if case .wait(let delay) = limits?.take(bytes: UInt64(dataByteCount), operations: 1, at: .now) {
            throttled = transfer
            statistics.throttled += 1
            return wakers.throttle.arm(after: delay)
        }
        transfer.kind = header.kind
        switch header.kind {
        case .read: startData(transfer, .read, header.sector, dataByteCount, configuration)
        case .write where disk.isReadOnly: complete(transfer, .ioError)
        case .write:
            let operation = StorageRequest.Operation.write(isDurable: !configuration.isWriteback)
            startData(transfer, operation, header.sector, dataByteCount, configuration)
        case .flush:
            transfer.request.operation = .flush
            submit(transfer)
        case .getID: giveIdentifier(transfer)
        case .discard: startRanges(transfer, needing: .blockDiscard, configuration)
        case .writeZeroes: startRanges(transfer, needing: .blockWriteZeroes, configuration)
        case nil: complete(transfer, .unsupported)
        }
    }

    private mutating func startData(
        _ transfer: BlockTransfer,
        _ operation: StorageRequest.Operation,
        _ sector: UInt64,
        _ byteCount: Int,
        _ configuration: BlockConfigurationSpace
    ) {
        guard
            byteCount % 512 == 0,
            sector <= configuration.capacity, UInt64(byteCount / 512) <= configuration.capacity - sector
        else { return complete(transfer, .ioError) }
        let request = transfer.request
        request.byteCount = UInt64(byteCount)
        guard byteCount > 0 else { return complete(transfer, .ok) }
        request.operation = operation
        request.offset = sector * 512
        let isRead = transfer.kind == .read
        guard
            fillVectors(
                of: request,
                from: isRead ? transfer.chain.writable : transfer.chain.readable,
                skipping: isRead ? 0 : BlockRequestHeader.byteCount,
                byteCount: byteCount
            )
        else { return complete(transfer, .ioError) }
        submit(transfer)
    }

    /// Points the request's vectors to the guest's bytes, wherever the driver cut the buffer into pieces (2.7.4.1).
    private func fillVectors(
        of request: StorageRequest,
        from ranges: [GuestRange],
        skipping skipped: Int,
        byteCount: Int
    ) -> Bool {
        guard let memory = active?.memory else { return false }
        var (skip, left) = (UInt32(skipped), UInt32(byteCount))
        // The memory outlives the request: a reset waits for all that is in flight before it lets go of it.
        unsafe request.vectors.removeAll(keepingCapacity: true)
        for var range in ranges where left > 0 {
            let head = min(skip, range.byteCount)
            skip -= head
            range.byteCount = min(range.byteCount - head, left)
            guard range.byteCount > 0, let start = range.address.advanced(by: UInt64(head)) else { continue }
            range.address = start
            left -= range.byteCount
            guard (try? unsafe memory.appendHostVectors(of: range, to: &request.vectors)) != nil else { return false }
        }
        return left == 0
    }

    private mutating func giveIdentifier(_ transfer: BlockTransfer) {
        // 20 bytes, padded with zeros, which need no terminator (5.2.6.1).
        let identifier = Array(disk.identifier.utf8.prefix(20))
        let bytes = identifier + Array(repeating: 0, count: 20 - identifier.count)
        let given = min(bytes.count, transfer.chain.writableByteCount - 1)
        active?.memory.write(Array(bytes.prefix(given)), to: transfer.chain.writable, at: 0)
        complete(transfer, .ok, writtenByteCount: given)
    }

    /// Checks every range before the first one is touched.
    private mutating func startRanges(
        _ transfer: BlockTransfer,
        needing feature: VirtioFeatures,
        _ configuration: BlockConfigurationSpace
    ) {
        guard let active, active.features.contains(feature) else { return complete(transfer, .unsupported) }
        let byteCount = transfer.chain.readableByteCount - BlockRequestHeader.byteCount
        let count = byteCount / BlockRange.byteCount
        guard byteCount % BlockRange.byteCount == 0, count <= Int(configuration.rangeSegmentMaximum) else {
            return complete(transfer, .ioError)
        }
        transfer.ranges.removeAll(keepingCapacity: true)
        for index in (0..<count).reversed() {
            let offset = BlockRequestHeader.byteCount + index * BlockRange.byteCount
            let range = BlockRange(active.memory.words(of: transfer.chain.readable, at: offset))
            // 5.2.6.2: unknown flags, and "unmap" with a discard, are not supported.
            guard !range.hasUnknownFlags, transfer.kind == .writeZeroes || !range.mayUnmap else {
                return complete(transfer, .unsupported)
            }
            guard
                range.sectorCount <= configuration.rangeSectorMaximum,
                range.sector <= configuration.capacity,
                UInt64(range.sectorCount) <= configuration.capacity - range.sector
            else { return complete(transfer, .ioError) }
            if range.sectorCount > 0 { transfer.ranges.append(range) }
        }
        submitNextRange(transfer)
    }

    private mutating func submitNextRange(_ transfer: BlockTransfer) {
        guard let range = transfer.ranges.popLast() else { return complete(transfer, .ok) }
        let request = transfer.request
        request.operation = transfer.kind == .discard ? .discard : .writeZeroes(mayUnmap: range.mayUnmap)
        request.offset = range.sector * 512
        request.byteCount = UInt64(range.sectorCount) * 512
        submit(transfer)
    }

    private func submit(_ transfer: BlockTransfer) {
        engine.submit(transfer.request)
    }

    // MARK: - Completing

    mutating func takeCompletions() {
        while let completion = engine.takeCompletion() {
            let transfer = transfers[completion.request.slot]
            switch completion.error {
            case nil where transfer.ranges.isEmpty:
                let isRead = transfer.kind == .read
                complete(transfer, .ok, writtenByteCount: isRead ? transfer.chain.writableByteCount - 1 : 0)
            case nil:
                submitNextRange(transfer)
                engine.commit()
            case .notSupported?:
                transfer.ranges.removeAll(keepingCapacity: true)
                complete(transfer, .unsupported)
            case let error?:
                transfer.ranges.removeAll(keepingCapacity: true)
                let request = completion.request
                hostFaults.record("\(request.operation) of \(request.byteCount) bytes at \(request.offset): \(error)")
                complete(transfer, .ioError)
            }
        }
    }

    /// Writes the status byte, the last one of the buffer, and returns the buffer to the driver.
    ///
    /// - Parameters:
    ///   - transfer: Not in flight; free afterwards.
    ///   - status: The outcome.
    ///   - writtenByteCount: How much of the data before the status byte was written. The used length says that all of it
    ///     was (2.7.8.2), so the rest is zeroed.
    private mutating func complete(
        _ transfer: BlockTransfer,
        _ status: BlockRequestStatus,
        writtenByteCount: Int = 0
    ) {
        defer { free.append(transfer) }
        statistics.count(transfer, status)
        guard let active, let queue = active.queues[transfer.queue] else { return }
        let chain = transfer.chain
        let dataByteCount = chain.writableByteCount - 1
        if writtenByteCount < dataByteCount {
            active.memory.zero(chain.writable, from: writtenByteCount, to: dataByteCount)
        }
        active.memory.writeStatus(status.rawValue, to: chain.writable)
        queue.addUsed(head: chain.head, byteCount: UInt32(chain.writableByteCount))
        returned |= 1 << transfer.queue
    }
}

extension GuestMemory {
    /// Stores the last byte of the last range.
    ///
    /// What was guest memory when the chain was taken still is.
    fileprivate func writeStatus(_ status: UInt8, to ranges: [GuestRange]) {
        guard let last = ranges.last, let address = last.address.advanced(by: UInt64(last.byteCount) - 1) else {
            return
        }
        try? store(status, at: address)
    }
}
