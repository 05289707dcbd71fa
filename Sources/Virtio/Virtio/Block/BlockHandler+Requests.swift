// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Storage
import Synchronization
import SystemPackage

/// The path of one request: checked, counted against the limits, started or answered (virtio 1.2, 5.2.6).
extension BlockHandler {
    mutating func handle(_ slot: Int, _ queues: inout ServedQueues) throws(VirtqueueFault) -> ChainOutcome {
        takeReplacement(&queues)
        guard let memory = queues.memory else { return .done(written: 0) }
        let (readable, writable) = (queues.chains[slot].readableByteCount, queues.chains[slot].writableByteCount)
        // A request needs a header, and its answer room for the status.
        guard readable >= BlockRequest.headerByteCount, writable >= 1 else {
            throw .malformedRequest("a request of a block device has a header of 16 bytes and a status byte")
        }
        let (first, sector) = memory.words(of: queues.chains[slot].readable, at: 0)
        // The upper half of the first word is reserved.
        let kind = BlockRequest.Kind(rawValue: UInt32(truncatingIfNeeded: first))
        requests[slot].kind = kind
        (requests[slot].order.offset, requests[slot].order.byteCount) = (0, 0)
        var refusal: BlockRequest.Status?
        var byteCount = 0
        switch kind {
        case .read:
            byteCount = writable - 1
            refusal = prepareTransfer(slot, sector, queues.chains[slot].writable, 0, byteCount, queues.features, memory)
        case .write:
            byteCount = readable - BlockRequest.headerByteCount
            refusal =
                disk.isReadOnly
                ? .ioError
                : prepareTransfer(
                    slot,
                    sector,
                    queues.chains[slot].readable,
                    BlockRequest.headerByteCount,
                    byteCount,
                    queues.features,
                    memory
                )
        case .discard: refusal = prepareRanges(slot, needing: .blockDiscard, memory, queues)
        case .writeZeroes: refusal = prepareRanges(slot, needing: .blockWriteZeroes, memory, queues)
        case .flush, .getID: break
        case nil: refusal = .unsupported
        }
        // Every request counts as an operation, and its data as bytes.
        if let delay = queues.admit(slot, byteCount: refusal == nil ? byteCount : 0) {
            counters.countThrottled()
            return .wait(delay)
        }
        if let refusal { return .done(written: answer(slot, refusal, queues)) }
        switch kind {
        case .read, .write:
            guard byteCount > 0 else { break }
            transferCount += 1
            return submit(slot)
        case .flush: return startFlush(slot, queues)
        case .getID: return .done(written: answer(slot, .ok, writtenByteCount: giveIdentifier(slot, queues), queues))
        case .discard, .writeZeroes: if startNextRange(slot) { return .inFlight }
        case nil: break
        }
        return .done(written: answer(slot, .ok, queues))
    }

    /// Gives an order to the engine.
    mutating func submit(_ slot: Int) -> ChainOutcome {
        requests[slot].isWithEngine = true
        engine.submit(requests[slot].order)
        return .inFlight
    }

    // MARK: - Reads and writes

    /// Checks a read or write, and fills its order.
    ///
    /// `ranges` is the part of the chain that has the data, behind `skipped` bytes. Returns the status of a request that is
    /// refused.
    private mutating func prepareTransfer(
        _ slot: Int,
        _ sector: UInt64,
        _ ranges: [GuestRange],
        _ skipped: Int,
        _ byteCount: Int,
        _ features: VirtioFeatures,
        _ memory: GuestMemory
    ) -> BlockRequest.Status? {
        guard
            byteCount % 512 == 0, byteCount <= BlockRegisters.transferByteMaximum,
            // Header or status may share a range with data.
            ranges.count <= BlockRegisters.segmentMaximum + 1,
            registers.contains(sector: sector, count: UInt64(byteCount / 512))
        else { return .ioError }
        let sizeMaximum = features.contains(.blockSizeMaximum) ? BlockRegisters.sizeMaximum : .max
        guard
            requests[slot].fillVectors(
                from: ranges,
                skipping: skipped,
                byteCount: byteCount,
                sizeMaximum: sizeMaximum,
                of: memory
            )
        else { return .ioError }
        requests[slot].order.operation =
            requests[slot].kind == .read
            ? .read : .write(isDurable: !registers.isWriteback.load(ordering: .relaxed))
        requests[slot].order.offset = sector * 512
        requests[slot].order.byteCount = UInt64(byteCount)
        return nil
    }

    // MARK: - Identity

    /// - Returns: The number of bytes written.
    private func giveIdentifier(_ slot: Int, _ queues: borrowing ServedQueues) -> Int {
        // 20 bytes, padded with zeros, which need no terminator (5.2.6.1).
        let identifier = Array(disk.identifier.utf8.prefix(20))
        let bytes = identifier + Array(repeating: 0, count: 20 - identifier.count)
        let given = min(bytes.count, queues.chains[slot].writableByteCount - 1)
        queues.memory?.write(bytes.prefix(given), to: queues.chains[slot].writable, at: 0)
        return given
    }

    // MARK: - Ranges

    /// Checks every range before the first one is touched.
    private mutating func prepareRanges(
        _ slot: Int,
        needing feature: VirtioFeatures,
        _ memory: GuestMemory,
        _ queues: borrowing ServedQueues
    ) -> BlockRequest.Status? {
        guard queues.features.contains(feature) else { return .unsupported }
        requests[slot].ranges.removeAll(keepingCapacity: true)
        let byteCount = queues.chains[slot].readableByteCount - BlockRequest.headerByteCount
        let count = byteCount / BlockRequest.Range.byteCount
        guard byteCount % BlockRequest.Range.byteCount == 0, count <= Int(BlockRegisters.rangeSegmentMaximum) else {
            return .ioError
        }
        for index in (0..<count).reversed() {
            let offset = BlockRequest.headerByteCount + index * BlockRequest.Range.byteCount
            let range = BlockRequest.Range(memory.words(of: queues.chains[slot].readable, at: offset))
            // 5.2.6.2: unknown flags, and "unmap" with a discard, are not supported.
            guard !range.hasUnknownFlags, requests[slot].kind == .writeZeroes || !range.mayUnmap else {
                return .unsupported
            }
            guard
                range.sectorCount <= BlockRegisters.rangeSectorMaximum,
                registers.contains(sector: range.sector, count: UInt64(range.sectorCount))
            else { return .ioError }
            if range.sectorCount > 0 { requests[slot].ranges.append(range) }
        }
        return nil
    }

    /// - Returns: Whether there was one.
    private mutating func startNextRange(_ slot: Int) -> Bool {
        guard let range = requests[slot].ranges.popLast() else { return false }
        let isDiscard = requests[slot].kind == .discard
        requests[slot].order.operation = isDiscard ? .discard : .writeZeroes(mayUnmap: range.mayUnmap)
        requests[slot].order.offset = range.sector * 512
        requests[slot].order.byteCount = UInt64(range.sectorCount) * 512
        _ = submit(slot)
        return true
    }

    /// Continues a request of which the engine has done one range.
    mutating func finishRange(_ slot: Int, _ error: Errno?, _ queues: inout ServedQueues) {
        guard let error else {
            guard startNextRange(slot) else { return complete(slot, .ok, &queues) }
            return isCommitDue = true
        }
        complete(slot, error == .notSupported ? .unsupported : .ioError, &queues)
    }
}
