// SPDX-License-Identifier: Apache-2.0

package import Host
import SystemPackage

/// How a disk's input and output are done.
package enum StorageEngineKind: String, CaseIterable, Sendable {
    /// io_uring where the kernel allows it, else threads.
    case automatic = "auto"
    case ioUring = "io_uring"
    case threads

    /// Makes an engine.
    ///
    /// - Parameters:
    ///   - file: The disk.
    ///   - capacity: How many requests it takes at a time.
    ///   - completionEvent: That of an engine in whose place this one comes; `nil` for one of its own.
    /// - Returns: The engine, for one owner.
    /// - Throws: `ioUringUnavailable` where io_uring was asked for and there is none.
    package func makeEngine(
        for file: DiskFile,
        capacity: Int,
        completionEvent: EventFD? = nil
    ) throws(StorageError) -> sending any StorageEngine {
        let engine: any StorageEngine =
            switch self {
            case .ioUring: try IOUringEngine(file: file, capacity: capacity, completionEvent: completionEvent)
            case .threads: try ThreadPoolEngine(file: file, capacity: capacity, completionEvent: completionEvent)
            case .automatic: try Self.bestEngine(file, capacity, completionEvent)
            }
        return file.isDirect ? DirectEngine(engine, file: file) : engine
    }

    private static func bestEngine(
        _ file: DiskFile,
        _ capacity: Int,
        _ completionEvent: EventFD?
    ) throws(StorageError) -> any StorageEngine {
        do throws(StorageError) {
            return try IOUringEngine(file: file, capacity: capacity, completionEvent: completionEvent)
        } catch {
            return try ThreadPoolEngine(file: file, capacity: capacity, completionEvent: completionEvent)
        }
    }
}
