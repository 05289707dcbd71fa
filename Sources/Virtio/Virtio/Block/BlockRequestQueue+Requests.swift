// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Host
import Storage
import SystemPackage

/// What happens to one request: taken from its virtqueue, checked, started, completed (virtio 1.2, 5.2.6).
extension BlockRequestQueue {
    // MARK: - Taking

    /// Takes and starts what the driver made available in virtqueue `index`.
    mutating func pop(from index: Int, _ configuration: BlockConfigurationSpace) throws(VirtqueueFault) {
        guard !isFaulty, let queue = queue(index) else { return }
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
                guard let slot = free.popLast() else {
                    finishTurn()
                    if !free.isEmpty { continue }
                    backlog |= 1 << index
                    return
                }
                guard try pop(into: slot, from: queue) else { break }
                turn -= 1
                transfers[slot].queue = index
                try start(slot, configuration)
                if throttled != nil {
                    backlog |= 1 << index
                    return finishTurn()
                }
            }
            finishTurn()
        } while try queue.enableKicks()
    }

    private func queue(_ index: Int) -> Virtqueue? {
        guard let active, active.queues.indices.contains(index) else { return nil }
        return active.queues[index]
    }

    /// Takes the next buffer; without one, the slot stays free.
    private mutating func pop(into slot: Int, from queue: Virtqueue) throws(VirtqueueFault) -> Bool {
        do {
            if try queue.pop(into: &transfers[slot].chain) { return true }
        } catch {
            free.append(slot)
            finishTurn()
            throw error
        }
        free.append(slot)
        return false
    }

    /// Much of what the page cache serves is complete as soon as it is started.
    mutating func finishTurn() {
        engine.commit()
        takeCompletions()
    }

    // MARK: - Starting

    /// Checks a request, and starts it or answers it at once.
    mutating func start(_ slot: Int, _ configuration: BlockConfigurationSpace) throws(VirtqueueFault) {
        guard let memory = active?.memory else { return free.append(slot) }
        let (readable, writable) = (
            transfers[slot].chain.readableByteCount, transfers[slot].chain.writableByteCount
        )
        // Without a header there is no request, and without room for the status no answer.
        guard readable >= BlockRequestHeader.byteCount, writable >= 1 else {
            free.append(slot)
            throw .malformedRequest("a request of a block device has a header of 16 bytes and a status byte")
        }
        let header = BlockRequestHeader(memory.words(of: transfers[slot].chain.readable, at: 0))
        let dataByteCount =
            switch header.kind {
            case .read: writable - 1
            case .write: readable - BlockRequestHeader.byteCount
            default: 0
            }
        if case .wait(let delay)? = limits?.take(bytes: UInt64(dataByteCount), operations: 1, at: .now) {
            throttled = slot
            statistics.throttled += 1
            return wakers.throttle.arm(after: delay)
        }
        transfers[slot].kind = header.kind
        switch header.kind {
        case .read: startData(slot, .read, header.sector, dataByteCount, configuration)
        case .write where disk.isReadOnly: complete(slot, .ioError)
        case .write:
            let operation = StorageRequest.Operation.write(isDurable: !configuration.isWriteback)
            startData(slot, operation, header.sector, dataByteCount, configuration)
        case .flush:
            transfers[slot].request.operation = .flush
            engine.submit(transfers[slot].request)
        case .getID: giveIdentifier(slot)
        case .discard: startRanges(slot, needing: .blockDiscard, configuration)
        case .writeZeroes: startRanges(slot, needing: .blockWriteZeroes, configuration)
        case nil: complete(slot, .unsupported)
        }
    }

    private mutating func startData(
        _ slot: Int,
        _ operation: StorageRequest.Operation,
        _ sector: UInt64,
        _ byteCount: Int,
        _ configuration: BlockConfigurationSpace
    ) {
        guard
            byteCount % 512 == 0,
            sector <= configuration.capacity, UInt64(byteCount / 512) <= configuration.capacity - sector
        else { return complete(slot, .ioError) }
        transfers[slot].request.byteCount = UInt64(byteCount)
        guard byteCount > 0 else { return complete(slot, .ok) }
        transfers[slot].request.operation = operation
        transfers[slot].request.offset = sector * 512
        guard let memory = active?.memory, transfers[slot].fillVectors(byteCount: byteCount, from: memory) else {
            return complete(slot, .ioError)
        }
        engine.submit(transfers[slot].request)
    }

    private mutating func giveIdentifier(_ slot: Int) {
        // 20 bytes, padded with zeros, which need no terminator (5.2.6.1).
        let identifier = Array(disk.identifier.utf8.prefix(20))
        let bytes = identifier + Array(repeating: 0, count: 20 - identifier.count)
        let given = min(bytes.count, transfers[slot].chain.writableByteCount - 1)
        active?.memory.write(bytes.prefix(given), to: transfers[slot].chain.writable, at: 0)
        complete(slot, .ok, writtenByteCount: given)
    }

    /// Checks every range before the first one is touched.
    private mutating func startRanges(
        _ slot: Int,
        needing feature: VirtioFeatures,
        _ configuration: BlockConfigurationSpace
    ) {
        guard let active, active.features.contains(feature) else { return complete(slot, .unsupported) }
        let byteCount = transfers[slot].chain.readableByteCount - BlockRequestHeader.byteCount
        let count = byteCount / BlockRange.byteCount
        guard byteCount % BlockRange.byteCount == 0, count <= Int(configuration.rangeSegmentMaximum) else {
            return complete(slot, .ioError)
        }
        transfers[slot].ranges.removeAll(keepingCapacity: true)
        for index in (0..<count).reversed() {
            let offset = BlockRequestHeader.byteCount + index * BlockRange.byteCount
            let range = BlockRange(active.memory.words(of: transfers[slot].chain.readable, at: offset))
            // 5.2.6.2: unknown flags, and "unmap" with a discard, are not supported.
            guard !range.hasUnknownFlags, transfers[slot].kind == .writeZeroes || !range.mayUnmap else {
                return complete(slot, .unsupported)
            }
            guard
                range.sectorCount <= configuration.rangeSectorMaximum,
                range.sector <= configuration.capacity,
                UInt64(range.sectorCount) <= configuration.capacity - range.sector
            else { return complete(slot, .ioError) }
            if range.sectorCount > 0 { transfers[slot].ranges.append(range) }
        }
        submitNextRange(slot)
    }

    private mutating func submitNextRange(_ slot: Int) {
        guard let range = transfers[slot].ranges.popLast() else { return complete(slot, .ok) }
        let isDiscard = transfers[slot].kind == .discard
        transfers[slot].request.operation = isDiscard ? .discard : .writeZeroes(mayUnmap: range.mayUnmap)
        transfers[slot].request.offset = range.sector * 512
        transfers[slot].request.byteCount = UInt64(range.sectorCount) * 512
        engine.submit(transfers[slot].request)
    }

    // MARK: - Completing

    mutating func takeCompletions() {
        while let completion = engine.takeCompletion() {
            let slot = completion.slot
            switch completion.error {
            case nil where transfers[slot].ranges.isEmpty:
                let isRead = transfers[slot].kind == .read
                complete(slot, .ok, writtenByteCount: isRead ? transfers[slot].chain.writableByteCount - 1 : 0)
            case nil:
                submitNextRange(slot)
                engine.commit()
            case .notSupported?:
                transfers[slot].ranges.removeAll(keepingCapacity: true)
                complete(slot, .unsupported)
            case let error?:
                transfers[slot].ranges.removeAll(keepingCapacity: true)
                let request = transfers[slot].request
                hostFaults.record("\(request.operation) of \(request.byteCount) bytes at \(request.offset): \(error)")
                complete(slot, .ioError)
            }
        }
    }

    /// Writes the status byte, the last one of the buffer, and returns the buffer to the driver.
    ///
    /// - Parameters:
    ///   - slot: Of a transfer that is not in flight; free afterwards.
    ///   - status: The outcome.
    ///   - writtenByteCount: How much of the data before the status byte was written. With a gap before the status byte
    ///     the used length ends where the gap begins (virtio 1.2, 2.7.8.2).
    private mutating func complete(
        _ slot: Int,
        _ status: BlockRequestStatus,
        writtenByteCount: Int = 0
    ) {
        free.append(slot)
        statistics.count(transfers[slot].kind, byteCount: transfers[slot].request.byteCount, status)
        let index = transfers[slot].queue
        guard let memory = active?.memory, let queue = active?.queues[index] else { return }
        let byteCount = transfers[slot].chain.writableByteCount
        memory.writeStatus(status.rawValue, to: transfers[slot].chain.writable)
        let usedByteCount = writtenByteCount == byteCount - 1 ? byteCount : writtenByteCount
        queue.addUsed(head: transfers[slot].chain.head, byteCount: UInt32(usedByteCount))
        returned |= 1 << index
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
