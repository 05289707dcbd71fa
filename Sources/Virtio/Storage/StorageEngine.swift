// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host

/// Does the input and output of one disk.
///
/// Not for two threads at once: the owner calls it under one lock. Short reads and writes are continued, interrupted
/// calls repeated; each request completes exactly once.
package protocol StorageEngine: AnyObject {
    /// The number of requests that may be in flight.
    var capacity: Int { get }
    /// The number of requests that were submitted and not yet taken back by `takeCompletion`.
    var inFlightCount: Int { get }
    /// Signalled when there may be completions that came after `commit` returned; the owner takes the event, then
    /// the completions.
    var completionEvent: EventFD { get }

    /// Takes over `request`; it may wait for `commit` to be started.
    ///
    /// - Parameter request: Not in flight, with a slot below `capacity`.
    func submit(_ request: StorageRequest)
    /// Starts everything that was submitted.
    func commit()
    /// Takes one completed request, if there is one.
    func takeCompletion() -> StorageCompletion?
    /// Commits, then waits until `takeCompletion` has something; at once where nothing is in flight.
    func waitForCompletion()
    /// Ends reads and writes: when it returns, none touches the memory of its vectors any more.
    ///
    /// Each of them completes all the same, with `Errno.canceled` where it was not done. Flushes and ranges go on.
    /// May be called on a vCPU's thread, which has few system calls.
    func cancel()
}

/// Waits a moment for transfers that are being cancelled, by a call that a vCPU's thread may make: neither the ring's nor poll(2).
func waitForCancelled() { usleep(50) }
