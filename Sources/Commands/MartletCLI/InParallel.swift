// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization

/// Calls a function that waits, for many values at once.
///
/// - Parameters:
///   - inputs: The values.
///   - transform: Called on up to 64 threads.
/// - Returns: The results, in the order of the inputs.
func inParallel<Input: Sendable, Output: Sendable>(
    _ inputs: [Input],
    _ transform: @escaping @Sendable (Input) -> Output
) -> [Output] {
    let outputs = Mutex([Output?](repeating: nil, count: inputs.count))
    let next = Atomic<Int>(0)
    let workers = DispatchGroup()
    for worker in 0..<min(64, inputs.count) {
        // A queue each: a concurrent one starts as many threads as the host has processors.
        DispatchQueue(label: "martlet.parallel.\(worker)").async(group: workers) {
            while true {
                let index = next.add(1, ordering: .relaxed).oldValue
                guard index < inputs.count else { return }
                let output = transform(inputs[index])
                outputs.withLock { $0[index] = output }
            }
        }
    }
    workers.wait()
    return outputs.withLock { $0.compactMap(\.self) }
}
