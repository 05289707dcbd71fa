// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import Host
import SystemPackage

/// Input and output by io_uring: a batch of requests for one system call, and none for what is complete by then.
///
/// While the ring has nothing to do, one read alone and any number of writes are tried by plain calls first: what the page cache
/// can serve or keep is done by them in less time than the ring takes; writes would even go through a thread of the kernel's.
///
/// The ring is used by whichever thread holds the owner's lock; the kernel keeps a request that was submitted by a thread
/// that has ended since.
@safe
final class IOUringEngine: StorageEngine {
    /// So many direct requests for one call: with fewer a fast disk is told of each, with more it waits for the first.
    private static let directBatch: UInt32 = 4

    let capacity: Int
    private(set) var inFlightCount = 0

    private let file: DiskFile
    let completionEvent: EventFD
    // Made by init, used here only and destroyed by deinit.
    private let ring: OpaquePointer
    // Unchecked here and below: the owner's lock lets one thread in, and nothing that is called while one of these changes
    // comes back here. The checks at run time were a seventh of the instructions of a small read.
    /// What is under way, by slot.
    @safe @exclusivity(unchecked) private var jobs: [StorageJob?]
    /// One request, or writes, with nothing beside them so far: if that stays so until `commit`, the page cache is asked first.
    @safe @exclusivity(unchecked) private var held: [StorageJob] = []
    @safe @exclusivity(unchecked) private var writes = CachedWriteBudget()
    /// What is complete without the kernel.
    @safe @exclusivity(unchecked) private var completed: [StorageCompletion] = []
    /// The vectors of what is prepared: the kernel reads them in the submission, which may come later than `submit`.
    private let vectors: UnsafeMutableBufferPointer<iovec>
    private var vectorCount = 0

    init(file: DiskFile, capacity: Int, completionEvent: EventFD?) throws(StorageError) {
        self.file = file
        self.capacity = capacity
        do throws(Errno) {
            self.completionEvent = if let completionEvent { completionEvent } else { try EventFD() }
        } catch {
            throw .ioUringUnavailable(error)
        }
        jobs = Array(repeating: nil, count: capacity)
        var ring: OpaquePointer?
        let result = unsafe cstorage_ring_create(
            UInt32(clamping: capacity),
            file.descriptor,
            self.completionEvent.descriptor.rawValue,
            &ring
        )
        guard let ring = unsafe ring, result >= 0 else { throw .ioUringUnavailable(Errno(rawValue: -result)) }
        unsafe self.ring = ring
        unsafe vectors = .allocate(capacity: 2 * StorageJob.vectorMaximum)
    }

    deinit {
        // The kernel may still write to the memory of what is under way.
        while inFlightCount > 0 {
            waitForCompletion()
            while takeCompletion() != nil {}
        }
        unsafe cstorage_ring_destroy(ring)
        unsafe vectors.deallocate()
    }

    func submit(_ request: StorageRequest) {
        inFlightCount += 1
        let job = StorageJob(request, on: file)
        if mayHold(job) { return held.append(job) }
        for job in held { prepare(job) }
        held.removeAll(keepingCapacity: true)
        prepare(job)
        // The kernel holds back (plugs) what one call submits until all of it is prepared, while a disk could be at work.
        if file.isDirect, unsafe cstorage_ring_pending(ring) >= Self.directBatch { commit() }
    }

    /// Whether there may be no call of the ring for it.
    private func mayHold(_ job: StorageJob) -> Bool {
        guard !file.isDirect, inFlightCount == completed.count + held.count + 1 else { return false }
        guard let last = held.last else { return true }
        return last.isCachedWrite && job.isCachedWrite
    }

    func commit() {
        if !held.isEmpty { serveHeld() }
        var isStuck = false
        while unsafe cstorage_ring_pending(ring) > 0 {
            let result = unsafe cstorage_ring_submit(ring)
            // EBUSY and EAGAIN: the kernel wants completions to be taken, or has no memory, and says so by an event later.
            if result == -EBUSY || result == -EAGAIN {
                if isStuck { _ = unsafe cstorage_ring_wait(ring) }
                takeFromRing()
                isStuck = true
            }
        }
        vectorCount = 0
    }

    func takeCompletion() -> StorageCompletion? {
        guard inFlightCount > 0 else { return nil }
        if completed.isEmpty { takeFromRing() }
        guard let completion = completed.popLast() else { return nil }
        inFlightCount -= 1
        return completion
    }

    func waitForCompletion() {
        commit()
        while completed.isEmpty, inFlightCount > 0 {
            _ = unsafe cstorage_ring_wait(ring)
            takeFromRing()
            commit()
        }
    }

    /// Does at once what the page cache can serve and keep, and prepares what is left.
    private func serveHeld() {
        // Out of the class, because what is prepared may be committed in between.
        var jobs: [StorageJob] = []
        swap(&jobs, &held)
        writes.startCommit()
        for index in jobs.indices {
            if jobs[index].isRead {
                jobs[index].readAtOnce(on: file.descriptor)
            } else if jobs[index].isCachedWrite {
                writes.spend { jobs[index].writeAtOnce(on: file.descriptor) }
            }
            prepare(jobs[index])
        }
        jobs.removeAll(keepingCapacity: true)
        swap(&jobs, &held)
    }

    // MARK: - The ring

    /// Prepares the next call of `job`, or notes that there is none.
    private func prepare(_ job: StorageJob) {
        let slot = job.request.slot
        if case .done(let error) = job.step {
            return completed.append(StorageCompletion(slot: slot, error: error))
        }
        if !tryToPrepare(job) {
            commit()
            // After a submission the queue is empty.
            _ = tryToPrepare(job)
        }
        jobs[slot] = job
    }

    private func tryToPrepare(_ job: StorageJob) -> Bool {
        let tag = UInt64(job.request.slot)
        switch job.step {
        case .read:
            return unsafe prepareVectors(of: job) { vectors, count in
                unsafe cstorage_ring_read(ring, tag, vectors, count, job.offset)
            }
        case .write(let isDurable):
            return unsafe prepareVectors(of: job) { vectors, count in
                unsafe cstorage_ring_write(ring, tag, vectors, count, job.offset, isDurable)
            }
        case .sync: return unsafe cstorage_ring_sync(ring, tag) >= 0
        case .allocate(let what, let byteCount):
            return unsafe cstorage_ring_allocate(ring, tag, what, job.offset, byteCount) >= 0
        case .done: return true
        }
    }

    private func prepareVectors(
        of job: StorageJob,
        _ prepare: (UnsafePointer<iovec>, UInt32) -> CInt
    ) -> Bool {
        unsafe job.withVectors { wanted in
            guard let start = unsafe vectors.baseAddress, unsafe vectorCount + wanted.count <= vectors.count else {
                return false
            }
            let place = unsafe start + vectorCount
            for index in wanted.indices { unsafe place[index] = wanted[index] }
            guard unsafe prepare(place, UInt32(wanted.count)) >= 0 else { return false }
            vectorCount += wanted.count
            return true
        }
    }

    /// Takes all that the kernel has completed, and starts what goes on.
    private func takeFromRing() {
        var tag: UInt64 = 0
        var result: CInt = 0
        var goesOn = false
        repeat {
            goesOn = false
            while unsafe cstorage_ring_take(ring, &tag, &result) == 1 {
                guard var job = jobs[Int(tag)].take() else { continue }
                job.advance(Int(result))
                if case .done = job.step {} else { goesOn = true }
                prepare(job)
            }
            // What is complete when this returns has no event: look again.
            if goesOn { commit() }
        } while goesOn
    }
}
