// SPDX-License-Identifier: Apache-2.0

import CStorage
import Dispatch
import Glibc
import HostEvents
import Synchronization
import SystemPackage

/// Input and output by plain system calls on a few threads: for kernels and sandboxes without io_uring.
///
/// What does not wait is done at once, on the caller's thread, which saves two changes of thread: reads that the page cache
/// can serve (`RWF_NOWAIT`), and a write into the page cache while nothing else is under way. All else goes to the threads,
/// so that a slow disk gets as many requests at a time as there are threads.
final class ThreadPoolEngine: StorageEngine {
    static let threadMaximum = 16

    let capacity: Int
    private(set) var inFlightCount = 0

    private let file: DiskFile
    private let pool: Pool
    private var submitted: [StorageJob] = []
    /// How many requests the threads have.
    private var handedCount = 0
    /// What was done at once.
    private var completed: [StorageCompletion] = []

    init(file: DiskFile, capacity: Int) throws(StorageError) {
        self.file = file
        self.capacity = capacity
        do throws(Errno) {
            pool = try Pool(file: file)
        } catch {
            throw .file(file.path, operation: "eventfd", error)
        }
    }

    deinit {
        // A thread may still write to the memory of what is under way.
        while inFlightCount > 0 {
            waitForCompletion()
            while takeCompletion() != nil {}
        }
    }

    var completionEvent: EventFD { pool.event }

    func submit(_ request: StorageRequest) {
        inFlightCount += 1
        submitted.append(StorageJob(request, on: file))
    }

    func commit() {
        guard !submitted.isEmpty else { return }
        let isAlone = inFlightCount == 1
        // Out of the class, where each access would be checked at run time.
        var jobs: [StorageJob] = []
        swap(&jobs, &submitted)
        for index in jobs.indices {
            // Without the page cache every call waits, RWF_NOWAIT or not.
            if !file.isDirect { jobs[index].runAtOnce(on: file.descriptor, mayWrite: isAlone) }
            if case .done(let error) = jobs[index].step {
                completed.append(StorageCompletion(slot: jobs[index].request.slot, error: error))
            } else {
                handedCount += 1
                pool.run(jobs[index])
            }
        }
        jobs.removeAll(keepingCapacity: true)
        swap(&jobs, &submitted)
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

    private func takeFromThreads() {
        guard handedCount > 0 else { return }
        let taken = pool.takeCompletions()
        handedCount -= taken.count
        completed += taken
    }
}

/// The threads, and what lies between them and the engine.
private final class Pool: Sendable {
    /// A request on its way between two threads.
    ///
    /// Unchecked, because a job and its memory belong to one thread at a time: to the engine until `run`, then to the one
    /// worker that takes it, and to the engine again when it has taken the completion. `state`'s lock lies between them.
    private struct Handed: @unchecked Sendable {
        let job: StorageJob
    }

    private struct State {
        var waiting: [Handed] = []
        var completed: [StorageCompletion] = []
        var idleWorkers = (0..<ThreadPoolEngine.threadMaximum).map { $0 }
    }

    let event: EventFD
    private let file: DiskFile
    private let state = Mutex(State())
    /// Each is a thread while it has something to do; a queue for many would run as many blocks as there are processors.
    private let workers: [DispatchQueue]

    init(file: DiskFile) throws(Errno) {
        self.file = file
        event = try EventFD()
        workers = (0..<ThreadPoolEngine.threadMaximum).map { DispatchQueue(label: "martlet.disk.\($0)") }
    }

    func run(_ job: StorageJob) {
        let handed = Handed(job: job)
        let worker = state.withLock { state in
            // First come, first served: a late worker must not find the newest first.
            state.waiting.insert(handed, at: 0)
            return state.idleWorkers.popLast()
        }
        if let worker { workers[worker].async { [self] in work(worker) } }
    }

    func takeCompletions() -> [StorageCompletion] {
        state.withLock { state in
            defer { state.completed = [] }
            return state.completed
        }
    }

    private func work(_ worker: Int) {
        while let next = nextJob(worker) {
            var job = next.job
            let completion = StorageCompletion(slot: job.request.slot, error: job.run(on: file.descriptor))
            state.withLock { $0.completed.append(completion) }
            event.signal()
        }
    }

    private func nextJob(_ worker: Int) -> Handed? {
        state.withLock { state in
            let job = state.waiting.popLast()
            if job == nil { state.idleWorkers.append(worker) }
            return job
        }
    }
}
