// SPDX-License-Identifier: Apache-2.0

import Host
import Synchronization

/// Calls a function that waits, for many values at once.
///
/// `transform` is called on up to 64 threads, the caller's among them: fewer where the host has no more. The results are in the
/// order of the inputs.
func inParallel<Input: Sendable, Output: Sendable>(
    _ inputs: [Input],
    _ transform: @escaping @Sendable (Input) -> Output
) -> [Output] {
    let outputs = Mutex([Output?](repeating: nil, count: inputs.count))
    let next = Atomic<Int>(0)
    let work: @Sendable () -> Void = {
        while true {
            let index = next.add(1, ordering: .relaxed).oldValue
            guard index < inputs.count else { return }
            let output = transform(inputs[index])
            outputs.withLock { $0[index] = output }
        }
    }
    let helpers = (0..<max(0, min(64, inputs.count) - 1)).compactMap { try? HostThread("parallel \($0)", work) }
    work()
    for helper in helpers { helper.join() }
    return outputs.withLock { $0.compactMap(\.self) }
}
