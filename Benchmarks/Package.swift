// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let cSettings: [CSetting] = [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)]

// A package of its own: Martlet is measured from outside, as a program, and nothing here is ever linked into it.
let package = Package(
    name: "martlet-benchmarks",
    targets: [
        .executableTarget(name: "martlet-bench", swiftSettings: swiftSettings),
        // What Martlet is measured against.
        .executableTarget(name: "bare-kvm", cSettings: cSettings),
        .executableTarget(name: "empty-c", cSettings: cSettings),
        .executableTarget(name: "first-byte", cSettings: cSettings),
        .executableTarget(name: "empty-swift", swiftSettings: swiftSettings),
    ]
)
