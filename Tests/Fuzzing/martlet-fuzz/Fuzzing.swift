// SPDX-License-Identifier: Apache-2.0

import CFuzzer
import Glibc

/// libFuzzer over the target that `MARTLET_FUZZ_TARGET` names; `docs/fuzzing.md` has how to use it.
///
/// In the environment and not an argument, because libFuzzer starts itself anew for some of its modes.
@main enum Fuzzing {
    /// Something that any bytes may be given to: it returns, or it has a bug.
    ///
    /// Invariants are checked with `precondition`: libFuzzer detects the trap.
    typealias Target = @Sendable (inout FuzzInput) -> Void

    /// A new target is one file, one line here, and a folder of seeds.
    private static let targets: [String: Target] = [
        "agent": AgentFuzzTarget.run,
        "block": BlockFuzzTarget.run,
        "decoder": DecoderFuzzTarget.run,
        "http": HTTPFuzzTarget.run,
        "json": JSONFuzzTarget.run,
        "kernel": KernelFuzzTarget.run,
        "mmio": MMIOFuzzTarget.run,
        "net": NetworkFuzzTarget.run,
        "queue": QueueFuzzTarget.run,
        "snapshot": SnapshotFuzzTarget.run,
        "uart": UARTFuzzTarget.run,
        "vsock": VsockFuzzTarget.run,
    ]

    /// The target of this process.
    private static let target: Target? = {
        let name = unsafe getenv("MARTLET_FUZZ_TARGET").map { unsafe String(cString: $0) }
        return targets[name ?? ""]
    }()

    static func main() {
        guard target != nil else {
            print("set MARTLET_FUZZ_TARGET to one of: \(targets.keys.sorted().joined(separator: " "))")
            exit(2)
        }
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
        exit(
            unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, count in
                // A copy of its own: AddressSanitizer watches the ends of it.
                var input = FuzzInput(unsafe Array(UnsafeBufferPointer(start: data, count: count)))
                Fuzzing.target?(&input)
                return 0
            }
        )
    }
}
