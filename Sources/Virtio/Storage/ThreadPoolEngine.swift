// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import Host
import SystemPackage

/// Input and output by plain system calls on a few threads: for kernels and sandboxes without io_uring.
///
/// Calls that do not wait are made at once, on the caller's thread, which saves two changes of thread: reads that the page cache
/// can serve (`RWF_NOWAIT`), and writes into the page cache while the threads have nothing to do. Of many reads at a time the
/// other processors get a part. All else goes to the threads, so that a slow disk gets as many requests at a time as there
/// are threads; but for a driver that sends one request at a time the caller itself waits for the disk.
final class ThreadPoolEngine: StorageEngine {
    /// Of so many bytes to be read at a time half are offered to other processors: for fewer it is not worth waking one.
    private static let sharedByteMinimum: UInt64 = 1 << 20

    let capacity: Int
    private(set) var inFlightCount = 0

    private let file: DiskFile
    private let pool: StorageThreadPool
    // Unchecked here and below: the owner's lock lets one thread in, and nothing that is called while one of these changes
    // comes back here. The checks at run time were a seventh of the instructions of a small read.
    @safe @exclusivity(unchecked) private var submitted: [StorageJob] = []
    /// The number of the threads' requests.
    private var handedCount = 0
    /// The requests that were done at once.
    @safe @exclusivity(unchecked) private var completed: [StorageCompletion] = []
    /// The number of requests in a row that had nothing beside them.
    private var aloneCount = 0
    @safe @exclusivity(unchecked) private var writes = CachedWriteBudget()

    /// Makes an engine.
    ///
    /// `completionEvent` happens when threads have completed something. Without `threads` the caller's does everything.
    init(file: DiskFile, capacity: Int, completionEvent: EventFD, threads: StorageThreads?) {
        self.file = file
        self.capacity = capacity
        pool = StorageThreadPool(file: file, capacity: capacity, event: completionEvent, threads: threads)
    }

    deinit {
        // A thread may still write to the memory of requests in flight.
        cancel()
    }

    var completionEvent: EventFD { pool.event }

    func submit(_ request: StorageRequest) {
        submit(StorageJob(request, on: file))
    }

    /// Takes over a job that another engine has begun.
    func submit(_ job: StorageJob) {
        inFlightCount += 1
        submitted.append(job)
    }

    func cancel() {
        for job in submitted where job.isTransfer {
            completed.append(StorageCompletion(slot: job.request.slot, error: .canceled))
        }
        submitted.removeAll(where: \.isTransfer)
        pool.cancelTransfers()
    }

    func commit() {
        guard !submitted.isEmpty else { return }
        aloneCount = inFlightCount == 1 ? aloneCount + 1 : 0
        // Out of the class, so that nothing changes it while it is looked through.
        var jobs: [StorageJob] = []
        swap(&jobs, &submitted)
        let isShared = !file.isDirect && isWorthSharing(jobs)
        // Without the page cache every call waits, RWF_NOWAIT or not.
        let ownCount = file.isDirect && !mayWait ? 0 : isShared ? jobs.count / 2 : jobs.count
        if ownCount < jobs.count { hand(jobs[ownCount...], mayBeTakenBack: isShared) }
        writes.startCommit()
        for index in 0..<ownCount { serve(&jobs[index]) }
        jobs.removeAll(keepingCapacity: true)
        swap(&jobs, &submitted)
        // Jobs that no thread has begun by now.
        while isShared, var job = pool.takeBack() {
            handedCount -= 1
            serve(&job)
        }
    }

    func takeCompletion() -> StorageCompletion? {
        if completed.isEmpty { takeFromThreads() }
        guard let completion = completed.popLast() else { return nil }
        inFlightCount -= 1
        return completion
    }

    func waitForCompletion() {
        commit()
        while completed.isEmpty, inFlightCount > 0 {
            takeFromThreads()
            guard completed.isEmpty else { return }
            var set = pollfd(fd: completionEvent.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&set, 1, -1) > 0 { completionEvent.take() }
        }
    }

    // MARK: - Jobs

    /// Indicates whether the caller waits for the disk itself.
    ///
    /// Now and then a request goes to the threads all the same: only then can another one come beside it and be seen.
    private var mayWait: Bool { aloneCount > 16 && aloneCount % 64 != 0 }

    /// Carries out calls that may be made on this thread, and hands over the rest.
    private func serve(_ job: inout StorageJob) {
        if mayWait, job.isTransfer {
            _ = job.run(on: file.descriptor)
        } else if !file.isDirect {
            if job.isRead {
                job.readAtOnce(on: file.descriptor)
            } else if job.isCachedWrite, handedCount == 0 {
                writes.spend { job.writeAtOnce(on: file.descriptor) }
            }
        }
        if case .done(let error) = job.step {
            completed.append(StorageCompletion(slot: job.request.slot, error: error))
        } else {
            hand(CollectionOfOne(job), mayBeTakenBack: false)
        }
    }

    private func isWorthSharing(_ jobs: [StorageJob]) -> Bool {
        jobs.count > 1 && jobs.reduce(0) { $0 + ($1.isRead ? $1.request.byteCount : 0) } >= Self.sharedByteMinimum
    }

    private func hand(_ jobs: some Collection<StorageJob>, mayBeTakenBack: Bool) {
        guard pool.hasThreads else {
            for var job in jobs {
                completed.append(StorageCompletion(slot: job.request.slot, error: job.run(on: file.descriptor)))
            }
            return
        }
        handedCount += jobs.count
        pool.run(jobs, mayBeTakenBack: mayBeTakenBack)
    }

    /// The choice when nothing else is complete.
    private func takeFromThreads() {
        guard handedCount > 0 else { return }
        pool.takeCompletions(into: &completed)
        handedCount -= completed.count
    }
}
