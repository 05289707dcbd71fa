// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import Host
import SystemPackage

/// I/O by io_uring: one system call for a batch of requests, and none to collect those that are complete by then.
///
/// While the ring has nothing to do, one read alone and any number of writes are tried by plain calls first: what the page cache
/// can serve or keep is done by them in less time than the ring takes; writes would even go through a thread of the kernel's.
///
/// An error of the ring itself, such as `EPERM` under a sandbox that came later, ends its use: plain calls go on with the disk, on the
/// caller's thread, because no thread is made while a guest runs.
///
/// The ring is used by whichever thread holds the owner's lock; the kernel keeps a request that was submitted by a thread
/// that has ended since.
@safe
final class IOUringEngine: StorageEngine {
    /// So many direct requests for one call: with fewer a fast disk gets a call for each, with more it waits for the first.
    private static let directBatch: UInt32 = 4

    let capacity: Int
    /// The number of requests that this engine has itself.
    private var ownCount = 0

    private let file: DiskFile
    private let report: @Sendable (String) -> Void
    /// The call of io_uring_enter(2); tests have others.
    private let enter: @Sendable (OpaquePointer) -> CInt
    /// Does everything from the moment on at which the ring failed.
    private var fallback: ThreadPoolEngine?
    /// The number of calls that the kernel has.
    private var kernelCount = 0
    private var isCancelling = false
    /// The slots of requests that are prepared and not submitted, in order.
    @safe @exclusivity(unchecked) private var prepared: [Int] = []
    let completionEvent: EventFD
    // Made by init, used here only and destroyed by deinit.
    private let ring: OpaquePointer
    // Unchecked here and below: the owner's lock lets one thread in, and nothing that is called while one of these changes
    // comes back here. The checks at run time were a seventh of the instructions of a small read.
    /// The requests under way, by slot.
    @safe @exclusivity(unchecked) private var jobs: [StorageJob?]
    /// One request, or writes, with nothing beside them so far: if that stays so until `commit`, the page cache is asked first.
    @safe @exclusivity(unchecked) private var held: [StorageJob] = []
    @safe @exclusivity(unchecked) private var writes = CachedWriteBudget()
    /// The parts that are complete without the kernel.
    @safe @exclusivity(unchecked) private var completed: [StorageCompletion] = []
    /// The vectors of prepared requests: the kernel reads them in the submission, which may come later than `submit`.
    private let vectors: UnsafeMutableBufferPointer<iovec>
    private var vectorCount = 0

    init(
        file: DiskFile,
        capacity: Int,
        completionEvent: EventFD,
        report: @escaping @Sendable (String) -> Void,
        enter: @escaping @Sendable (OpaquePointer) -> CInt = { unsafe cstorage_ring_submit($0) }
    ) throws(StorageError) {
        self.file = file
        self.capacity = capacity
        self.completionEvent = completionEvent
        self.report = report
        unsafe self.enter = enter
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
        // The kernel may still write to the memory of requests in flight.
        cancel()
        unsafe cstorage_ring_destroy(ring)
        unsafe vectors.deallocate()
    }

    var inFlightCount: Int { ownCount + (fallback?.inFlightCount ?? 0) }

    func submit(_ request: StorageRequest) {
        if let fallback { return fallback.submit(request) }
        ownCount += 1
        let job = StorageJob(request, on: file)
        if mayHold(job) { return held.append(job) }
        for job in held { prepare(job) }
        held.removeAll(keepingCapacity: true)
        prepare(job)
        // The kernel holds back (plugs) what one call submits until all of it is prepared, while a disk could be at work.
        if file.isDirect, unsafe cstorage_ring_pending(ring) >= Self.directBatch { commit() }
    }

    /// Returns whether there may be no call of the ring for it.
    private func mayHold(_ job: StorageJob) -> Bool {
        guard !file.isDirect, ownCount == completed.count + held.count + 1 else { return false }
        guard let last = held.last else { return true }
        return last.isCachedWrite && job.isCachedWrite
    }

    func commit() {
        if !held.isEmpty { serveHeld() }
        var isStuck = false
        while fallback == nil, !prepared.isEmpty {
            let result = unsafe enter(ring)
            if result > 0 {
                kernelCount += Int(result)
                prepared.removeFirst(min(prepared.count, Int(result)))
            } else if result == -EBUSY || result == -EAGAIN, kernelCount > 0 {
                // The kernel wants completions to be taken, or has no memory; an event follows later.
                if isStuck { waitForRing() }
                takeFromRing()
                isStuck = true
            } else if result != -EINTR {
                fallBack(Errno(rawValue: -result))
            }
        }
        vectorCount = 0
        fallback?.commit()
    }

    func takeCompletion() -> StorageCompletion? {
        if ownCount > 0 {
            if completed.isEmpty { takeFromRing() }
            if let completion = completed.popLast() {
                ownCount -= 1
                return completion
            }
        }
        return fallback?.takeCompletion()
    }

    func waitForCompletion() {
        commit()
        while completed.isEmpty, ownCount > 0 {
            waitForRing()
            takeFromRing()
            commit()
        }
        if completed.isEmpty { fallback?.waitForCompletion() }
    }

    func cancel() {
        isCancelling = true
        defer { isCancelling = false }
        for job in held { completed.append(StorageCompletion(slot: job.request.slot, error: .canceled)) }
        held.removeAll(keepingCapacity: true)
        if prepared.contains(where: { jobs[$0]?.isTransfer == true }) { commit() }
        takeFromRing()
        while jobs.contains(where: { $0?.isTransfer == true }) {
            // The kernel completes requests without a call of the ring.
            waitForCancelled()
            takeFromRing()
        }
        // The thread that takes completions handles the requests that go on.
        if !prepared.isEmpty { completionEvent.signal() }
        fallback?.cancel()
    }

    /// Waits until the kernel has completed something.
    private func waitForRing() {
        let result = unsafe cstorage_ring_wait(ring)
        guard result < 0, result != -EINTR else { return }
        // Without the ring's own call: its event suffices, and a periodic check misses none.
        var set = pollfd(fd: completionEvent.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        if unsafe poll(&set, 1, 10) > 0 { completionEvent.take() }
    }

    /// Carries out requests that the kernel has not taken, and all later ones, by plain calls.
    private func fallBack(_ error: Errno) {
        report("io_uring: \(error): the disk continues with plain system calls, more slowly")
        let calls = ThreadPoolEngine(file: file, capacity: capacity, completionEvent: completionEvent, threads: nil)
        fallback = calls
        // Their entries stay in the ring, which nobody submits any more.
        for slot in prepared {
            guard let job = jobs[slot].take() else { continue }
            ownCount -= 1
            calls.submit(job)
        }
        prepared.removeAll()
    }

    /// Carries out at once what the page cache can serve, and prepares the rest.
    private func serveHeld() {
        // Moved out of the class, because prepared requests may be committed in between.
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
        if isCancelling, job.isTransfer {
            return completed.append(StorageCompletion(slot: slot, error: .canceled))
        }
        if let fallback {
            ownCount -= 1
            return fallback.submit(job)
        }
        if !tryToPrepare(job) {
            commit()
            if let fallback {
                ownCount -= 1
                return fallback.submit(job)
            }
            // After a submission the queue is empty.
            _ = tryToPrepare(job)
        }
        jobs[slot] = job
        prepared.append(slot)
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

    /// Takes all requests that the kernel has completed, and starts their next calls.
    private func takeFromRing() {
        var tag: UInt64 = 0
        var result: CInt = 0
        var goesOn = false
        repeat {
            goesOn = false
            while unsafe cstorage_ring_take(ring, &tag, &result) == 1 {
                kernelCount -= 1
                guard var job = jobs[Int(tag)].take() else { continue }
                job.advance(Int(result))
                if case .done = job.step {} else { goesOn = true }
                prepare(job)
            }
            // Requests that are complete when this returns have no event: look again.
            if goesOn, !isCancelling { commit() }
        } while goesOn && !isCancelling
    }
}
