// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Host
import Synchronization
import SystemPackage

/// The threads of one disk, and what lies between them and its engine.
final class StorageThreadPool: Sendable {
    /// As many as may wait for the disk at a time.
    private static let threadMaximum = 24

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
        /// What only the threads do.
        var waiting: JobQueue
        /// What the engine takes back when it has time.
        var offered: JobQueue
        var completed: [StorageCompletion] = []
        var idleWorkers = Array(0..<threadMaximum)
    }

    /// Happens when there are completions, and none were left from before.
    let event: EventFD
    private let file: DiskFile
    private let state: Mutex<State>
    /// Each is a thread while it has something to do; a queue for many would run as many blocks as there are processors.
    private let workers: [DispatchQueue]
    /// How many threads work for what is offered: the engine's has a processor of its own.
    private let helperMaximum = max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)) - 1)

    /// - Parameters:
    ///   - file: What the jobs are done on.
    ///   - capacity: How many jobs there are at most.
    ///   - event: What happens when there are completions; `nil` for one of its own.
    /// - Throws: `Errno` where the host has no descriptor left.
    init(file: DiskFile, capacity: Int, event: EventFD?) throws(Errno) {
        self.file = file
        self.event = if let event { event } else { try EventFD() }
        workers = (0..<Self.threadMaximum).map { DispatchQueue(label: "martlet.disk.\($0)") }
        state = Mutex(State(waiting: JobQueue(capacity: capacity), offered: JobQueue(capacity: capacity)))
    }

    /// Gives jobs to the threads.
    ///
    /// - Parameters:
    ///   - jobs: What is left to be done.
    ///   - mayBeTakenBack: Whether `takeBack` may give those that read, as long as no thread has begun them.
    func run(_ jobs: some Sequence<StorageJob>, mayBeTakenBack: Bool) {
        let started = state.withLock { state in
            var started: [Int] = []
            for job in jobs {
                let isOffered = mayBeTakenBack && job.isRead
                if isOffered { state.offered.append(job) } else { state.waiting.append(job) }
                let busyCount = workers.count - state.idleWorkers.count
                let isOfUse = busyCount < threadMaximum(for: job, isOffered: isOffered)
                if isOfUse, let worker = state.idleWorkers.popLast() { started.append(worker) }
            }
            return started
        }
        for worker in started { workers[worker].async { [self] in work(worker) } }
    }

    /// With how many threads at work there is no use in another one for `job`.
    private func threadMaximum(for job: StorageJob, isOffered: Bool) -> Int {
        if isOffered { return helperMaximum }
        // Writes into the page cache wait for each other, and with many threads for their turns.
        return job.isCachedWrite && !file.isDirect ? Self.writerMaximum : workers.count
    }

    /// Takes back a job that no thread has begun.
    func takeBack() -> StorageJob? {
        state.withLock { $0.offered.popFirst() }
    }

    /// Takes all that is complete.
    ///
    /// - Parameter completions: Empty; filled, and its storage used for what comes.
    func takeCompletions(into completions: inout [StorageCompletion]) {
        state.withLock { swap(&$0.completed, &completions) }
    }

    private func work(_ worker: Int) {
        var finished: StorageCompletion?
        while true {
            // One lock for each job: where many threads contend for it, it is a call of the kernel's.
            let (isNews, job) = state.withLock { state in
                if let finished { state.completed.append(finished) }
                let job = state.waiting.popFirst() ?? state.offered.popFirst()
                if job == nil { state.idleWorkers.append(worker) }
                return (finished != nil && state.completed.count == 1, job)
            }
            if isNews { event.signal() }
            guard var job else { return }
            finished = StorageCompletion(slot: job.request.slot, error: job.run(on: file.descriptor))
        }
    }
}

// Unchecked, because a job and the memory of its vectors belong to one thread at a time: to the engine until `run`, then to the
// one worker that takes it, and to the engine again when it has taken the completion. The pool's lock lies between them.
extension StorageJob: @unchecked Sendable {}
