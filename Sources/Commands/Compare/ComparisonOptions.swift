// SPDX-License-Identifier: Apache-2.0

/// The choice of what to compare.
package struct ComparisonOptions: Sendable {
    /// In the order in which they are shown.
    package var topics = Topic.allCases
    /// The number of samples of each number that is measured from outside.
    package var repetitions = 5
    /// A static program of the user's.
    package var workload: String?
    /// The container runtime, a name or a path; `nil` for the first of those that are known that works.
    package var runtime: String?
    /// The number of instances that run at the same time, for density.
    package var instanceCounts = [1, 2, 5, 10, 20]
    /// The folder with what guest-images/compare.sh built.
    package var images: String
    /// The virtual machine, or why there is none.
    package var machine: Result<MachineImages, ComparisonError>
    /// Indicates whether this host's KVM interprets guest kernel code.
    package var interpretsGuestKernels: Bool
    package var martletVersion: String

    package init(
        images: String,
        machine: Result<MachineImages, ComparisonError>,
        interpretsGuestKernels: Bool,
        martletVersion: String
    ) {
        self.images = images
        self.machine = machine
        self.interpretsGuestKernels = interpretsGuestKernels
        self.martletVersion = martletVersion
    }
}
