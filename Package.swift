// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// One list for every Swift target: the strictest settings that the toolchain checks itself.
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

let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")

let package = Package(
    name: "martlet",
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1")
    ],
    targets: [
        .target(name: "CKVM", cSettings: cSettings),
        .target(name: "KVM", dependencies: ["CKVM", systemPackage], swiftSettings: swiftSettings),
        .target(name: "GuestMemory", dependencies: [systemPackage], swiftSettings: swiftSettings),
        .target(name: "Devices", swiftSettings: swiftSettings),
        .target(name: "TestSupport", dependencies: ["CKVM", "KVM", "GuestMemory"], swiftSettings: swiftSettings),
        .testTarget(
            name: "GuestMemoryTests",
            dependencies: ["GuestMemory", systemPackage],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "KVMTests",
            dependencies: ["CKVM", "KVM", "GuestMemory", "TestSupport", systemPackage],
            swiftSettings: swiftSettings
        ),
    ]
)
