// SPDX-License-Identifier: Apache-2.0

import Host
import JSON

/// The size of a machine, as annotations or limits of its container or pod say it.
struct MachineSize {
    /// The memory that the process takes beside the guest's.
    static let overheadMiB: Int64 = 64
    /// The threads of a machine's processes, and of those of its execs.
    static let overheadThreadCount: Int64 = 64
    /// The memory of a guest that nobody limited.
    static let defaultMemoryMiB: Int64 = 128
    /// The memory of a pod's guest that nobody limited.
    static let defaultPodMemoryMiB: Int64 = 256
    /// The memory of a pod's guest beyond what its containers may have: for the kernel.
    private static let podOverheadMiB: Int64 = 64
    private static let vcpus: ClosedRange<Int64> = 1...32

    let memoryMiB: Int64
    let vcpuCount: Int64

    /// - Parameters:
    ///   - configuration: The `config.json` of the container, or of the pod's sandbox.
    ///   - isPod: Whether it is a pod's, whose limits are in annotations of containerd's.
    /// - Throws: `RuntimeProblem` for an annotation that is not a size.
    init(of configuration: JSONValue, isPod: Bool) throws(RuntimeProblem) {
        let annotations = configuration["annotations"]
        func number(_ name: String) -> Int64 { Int64(annotations[name].string ?? "") ?? 0 }
        if let text = annotations["martlet.memory"].string {
            guard let value = Int64(text), (32...1 << 20).contains(value) else {
                throw RuntimeProblem("annotation martlet.memory: '\(printable(text))' is not at least 32 MiB")
            }
            memoryMiB = value
        } else if isPod {
            let limit = number("io.kubernetes.cri.sandbox-memory")
            memoryMiB = limit > 0 ? min(limit >> 20, 1 << 20) + Self.podOverheadMiB : Self.defaultPodMemoryMiB
        } else {
            let limit = configuration["linux"]["resources"]["memory"]["limit"].integerValue ?? 0
            memoryMiB = limit > 0 ? max(32, limit >> 20) : Self.defaultMemoryMiB
        }
        if let text = annotations["martlet.cpus"].string {
            guard let value = Int64(text), Self.vcpus.contains(value) else {
                throw RuntimeProblem("annotation martlet.cpus: '\(printable(text))' is not 1 to 32")
            }
            vcpuCount = value
        } else {
            let (quota, period) = (
                number("io.kubernetes.cri.sandbox-cpu-quota"), number("io.kubernetes.cri.sandbox-cpu-period")
            )
            let whole = isPod && quota > 0 && period > 0 ? (quota - 1) / period + 1 : 1
            vcpuCount = min(whole, Self.vcpus.upperBound)
        }
    }
}
