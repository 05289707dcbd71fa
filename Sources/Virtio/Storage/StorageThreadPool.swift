// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Synchronization
import SystemPackage

/// The threads of one disk, and what lies between them and its engine.
final class StorageThreadPool: Sendable {
    /// As many as write into the page cache, of which one may be held up by a flush.
    private static let writerMaximum = 2

    /// Jobs on their way between two threads, first come, first served.
    private struct JobQueue {
        private var jobs: [StorageJob?]
        private var first = 0
        private(set) var count = 0

        init(capacity: Int) {
            jobs = Array(repeating: nil, count: capacity)
        }

        mutating func append(_ job: StorageJob) {
            jobs[(first + count) % jobs.count] = job
            count += 1
        }

        mutating func popFirst() -> StorageJob? {
            guard count > 0 else { return nil }
            defer { first = (first + 1) % jobs.count }
            count -= 1
            return jobs[first].take()
        }
    }

    private struct State {
        /// The work that only the threads do.
        var waiting: JobQueue
        /// The requests that the engine takes back when it has time.
        var offered: JobQueue
        var completed: [StorageCompletion] = []
        /// The number of jobs that touch the memory of their vectors.
        var transferCount = 0
        var idleWorkers: [Int]

        /// Completes what moves data and no thread has begun.
        ///
        /// - Returns: The number of jobs that are moving data.
        mutating func cancelWaiting() -> Int {
            for _ in 0..<waiting.count {
                guard let job = waiting.popFirst() else { break }
                if job.isTransfer { cancel(job) } else { waiting.append(job) }
            }
            while let job = offered.popFirst() { cancel(job) }
            return transferCount
        }

        private mutating func cancel(_ job: StorageJob) {
            completed.append(StorageCompletion(slot: job.request.slot, error: .canceled))
            transferCount -= 1
        }
    }

    /// Happens when there are completions, and none were left from before.
    let event: EventFD
    private let file: DiskFile
    private let state: Mutex<State>
    /// Indicates whether jobs that move data are to end as soon as they can.
    private let isCancelling = Atomic<Bool>(false)
    private let workers: [WorkThread]
    /// The number of threads that work for what is offered: the engine's has a processor of its own.
    private let helperMaximum = max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)) - 1)

    /// `event` happens when there are completions.
    init(file: DiskFile, capacity: Int, event: EventFD, threads: StorageThreads?) {
        self.file = file
        self.event = event
        workers = threads?.forEngine() ?? []
        state = Mutex(
            State(
                waiting: JobQueue(capacity: capacity),
                offered: JobQueue(capacity: capacity),
                idleWorkers: Array(workers.indices)
            )
        )
    }

    var hasThreads: Bool { !workers.isEmpty }

    /// Gives jobs to the threads, of which there are some.
    ///
    /// `mayBeTakenBack` lets `takeBack` give those that read, as long as no thread has begun them.
    func run(_ jobs: some Sequence<StorageJob>, mayBeTakenBack: Bool) {
        let started = state.withLock { state in
            var started: [Int] = []
            for job in jobs {
                if job.isTransfer { state.transferCount += 1 }
                let isOffered = mayBeTakenBack && job.isRead
                if isOffered { state.offered.append(job) } else { state.waiting.append(job) }
                let busyCount = workers.count - state.idleWorkers.count
                let isOfUse = busyCount < threadMaximum(for: job, isOffered: isOffered)
                if isOfUse, let worker = state.idleWorkers.popLast() { started.append(worker) }
            }
            return started
        }
        for worker in started { workers[worker].run { [self] in work(worker) } }
    }

    /// The number of busy threads from which another one does not help `job`.
    private func threadMaximum(for job: StorageJob, isOffered: Bool) -> Int {
        if isOffered { return helperMaximum }
        // Writes into the page cache wait for each other, and with many threads for their turns.
        return job.isCachedWrite && !file.isDirect ? Self.writerMaximum : workers.count
    }

    /// Takes back a job that no thread has begun.
    func takeBack() -> StorageJob? {
        state.withLock { state in
            let job = state.offered.popFirst()
            // Only reads are offered.
            if job != nil { state.transferCount -= 1 }
            return job
        }
    }

    /// Takes all completions.
    ///
    /// - Parameter completions: An empty array, which is filled; its storage is used for later completions.
    func takeCompletions(into completions: inout [StorageCompletion]) {
        state.withLock { swap(&$0.completed, &completions) }
    }

    /// Ends the jobs that move data: completes those that no thread has begun, and waits for the others' next call.
    func cancelTransfers() {
        isCancelling.store(true, ordering: .sequentiallyConsistent)
        defer { isCancelling.store(false, ordering: .sequentiallyConsistent) }
        while state.withLock({ $0.cancelWaiting() }) > 0 { waitForCancelled() }
    }

    private func work(_ worker: Int) {
        var finished: StorageCompletion?
        var wasTransfer = false
        while true {
            // One lock for each job: where many threads contend for it, it is a call of the kernel's.
            let (isNews, job) = state.withLock { state in
                if let finished { state.completed.append(finished) }
                if wasTransfer { state.transferCount -= 1 }
                let job = state.waiting.popFirst() ?? state.offered.popFirst()
                if job == nil { state.idleWorkers.append(worker) }
                return (finished != nil && state.completed.count == 1, job)
            }
            if isNews { event.signal() }
            guard var job else { return }
            let isTransfer = job.isTransfer
            let error = job.run(on: file.descriptor) { isTransfer && isCancelling.load(ordering: .relaxed) }
            wasTransfer = isTransfer
            finished = StorageCompletion(slot: job.request.slot, error: error)
        }
    }
}

// Unchecked, because a job and the memory of its vectors belong to one thread at a time: to the engine until `run`, then to the
// one worker that takes it, and to the engine again when it has taken the completion. The pool's lock lies between them.
extension StorageJob: @unchecked Sendable {}
