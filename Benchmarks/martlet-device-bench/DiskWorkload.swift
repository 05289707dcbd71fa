// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import GuestMemory
import Host
import Storage
import SystemPackage
import TestSupport
import Virtio

/// Random reads or writes of a whole file by one driver that always has `depth` requests under way.
struct DiskWorkload {
    let path: String
    let engine: StorageEngineKind
    let depth: Int
    let blockByteCount: Int
    let isWrite: Bool
    let isDirect: Bool
    let seconds: Double

    init?(_ arguments: ArraySlice<String>) {
        let fields = Array(arguments)
        guard
            let engine = StorageEngineKind(rawValue: fields[1]),
            let depth = Int(fields[2]), (1...128).contains(depth),
            let block = Int(fields[3]), block > 0, block % 512 == 0, block <= 1 << 20,
            let seconds = Double(fields[6])
        else { return nil }
        (path, self.engine, self.depth, blockByteCount) = (fields[0], engine, depth, block)
        (isWrite, isDirect, self.seconds) = (fields[4] == "write", fields[5] == "direct", seconds)
    }

    func operationsPerSecond() throws -> Double {
        let file = try DiskFile(path: FilePath(path), isReadOnly: false, isDirect: isDirect)
        var properties = DiskProperties(byteCount: file.byteCount)
        properties.logicalBlockByteCount = UInt32(file.logicalBlockSize)
        let device = try BlockDevice(
            disk: properties,
            engine: engine.makeEngine(for: file, capacity: BlockDevice.requestCapacity),
            hostFaults: GuestFaultLog(device: "disk")
        )
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 256 << 20)])
        let driver = try FakeDriver(device, memory: memory)
        let requests = try Requests(self, driver)
        return try run(device, driver.queues[0], requests, sectorCount: file.byteCount / 512)
    }

    private func run(
        _ device: BlockDevice,
        _ queue: FakeQueue,
        _ requests: Requests,
        sectorCount: UInt64
    ) throws -> Double {
        var sectors = RandomSectors(
            blockCount: sectorCount * 512 / UInt64(blockByteCount),
            sectorsPerBlock: blockByteCount / 512
        )
        let sources = device.eventSources
        let set = try EventSet(sources.map(\.descriptor))
        // As a driver that polls, which is what fio does.
        queue.setInterrupts(areWanted: false)
        for index in 0..<depth { requests.submit(index, to: queue, sector: sectors.next()) }
        var count = 0
        let start = ContinuousClock.now
        let end = start + .seconds(seconds)
        var now = start
        while now < end {
            // A look at the clock costs as much as a tenth of a request.
            for _ in 0..<64 {
                if queue.takeKick() { device.processQueue(0) }
                var isIdle = true
                while let used = queue.takeUsed() {
                    isIdle = false
                    count += 1
                    requests.submit(requests.index(ofHead: used.head), to: queue, sector: sectors.next())
                }
                guard isIdle else { continue }
                let ready = set.wait()
                for index in sources.indices where ready & 1 << UInt64(index) != 0 { sources[index].handle() }
            }
            now = .now
        }
        device.reset()
        return Double(count) / ((now - start) / .seconds(1))
    }
}

/// The first sectors of random blocks.
private struct RandomSectors {
    private var random = SeededGenerator(seed: 1)
    private let blockCount: UInt64
    private let sectorsPerBlock: UInt64

    init(blockCount: UInt64, sectorsPerBlock: Int) {
        (self.blockCount, self.sectorsPerBlock) = (blockCount, UInt64(sectorsPerBlock))
    }

    mutating func next() -> UInt64 {
        (random.next() >> 16) % blockCount * sectorsPerBlock
    }
}

/// The requests of a workload, laid out once: header, data, status.
private final class Requests {
    private let memory: GuestMemory
    private let headers: [GuestAddress]
    private let chains: [FakeQueue.PreparedChain]
    private let indices: [Int]

    init(_ workload: DiskWorkload, _ driver: FakeDriver) throws {
        memory = driver.memory
        var headers: [GuestAddress] = []
        var chains: [FakeQueue.PreparedChain] = []
        var indices = [Int](repeating: 0, count: 256)
        for index in 0..<workload.depth {
            let header = try driver.allocator.allocate(16, alignment: 16)
            let data = GuestRange(
                address: try driver.allocator.allocate(workload.blockByteCount, alignment: 4096),
                byteCount: UInt32(workload.blockByteCount)
            )
            let status = GuestRange(address: try driver.allocator.allocate(1), byteCount: 1)
            try memory.store(UInt32(workload.isWrite ? 1 : 0), at: header)
            let head = GuestRange(address: header, byteCount: 16)
            let chain = try driver.queues[0].prepare(
                readable: workload.isWrite ? [head, data] : [head],
                writable: workload.isWrite ? [status] : [data, status],
                layout: .indirect
            )
            headers.append(header)
            chains.append(chain)
            indices[Int(chain.head)] = index
        }
        (self.headers, self.chains, self.indices) = (headers, chains, indices)
    }

    func submit(_ index: Int, to queue: FakeQueue, sector: UInt64) {
        try? memory.store(sector, at: GuestAddress(rawValue: headers[index].rawValue + 8))
        queue.submit(chains[index])
    }

    func index(ofHead head: UInt32) -> Int { indices[Int(head)] }
}
