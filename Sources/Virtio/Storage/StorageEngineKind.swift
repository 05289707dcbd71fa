// SPDX-License-Identifier: Apache-2.0

package import Host
import SystemPackage

/// The way in which a disk's input and output are done.
package enum StorageEngineKind: String, CaseIterable, Sendable {
    /// io_uring where the kernel allows it, else threads.
    case automatic = "auto"
    case ioUring = "io_uring"
    case threads

    /// Makes an engine.
    ///
    /// `completionEvent` is that of an engine in whose place this one comes; `nil` for one of its own. `threads` start later;
    /// `nil` for some of its own, which run at once. `report` is called with the messages of a working engine.
    package func makeEngine(
        for file: DiskFile,
        capacity: Int,
        completionEvent: EventFD? = nil,
        threads: StorageThreads? = nil,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(StorageError) -> sending any StorageEngine {
        let event: EventFD
        do throws(Errno) {
            event = if let completionEvent { completionEvent } else { try EventFD() }
        } catch {
            throw .file(file.path, operation: "eventfd", error)
        }
        func threadPoolEngine() -> ThreadPoolEngine {
            let threads = threads ?? .started()
            return ThreadPoolEngine(file: file, capacity: capacity, completionEvent: event, threads: threads)
        }
        let engine: any StorageEngine
        switch self {
        case .threads: engine = threadPoolEngine()
        case .ioUring, .automatic:
            do throws(StorageError) {
                engine = try unsafe IOUringEngine(
                    file: file,
                    capacity: capacity,
                    completionEvent: event,
                    report: report
                )
            } catch {
                guard self == .automatic else { throw error }
                engine = threadPoolEngine()
            }
        }
        return file.isDirect ? DirectEngine(engine, file: file) : engine
    }
}
