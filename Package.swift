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

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

/// What the payload of a bzImage may be compressed with; all are in every distribution.
let compressionLibraries: [Target.Dependency] = ["CZlib", "CLZMA", "CBzip2", "CLZ4", "CZstd"]

let package = Package(
    name: "martlet",
    products: [.library(name: "Martlet", targets: ["Martlet"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        // Tests alone read YAML.
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    targets: [
        // From the bottom up, as in docs/architecture.md: each target uses only what stands above it here.
        .target(name: "CHostEvents", cSettings: cSettings),
        .target(name: "HostEvents", dependencies: ["CHostEvents", systemPackage], swiftSettings: swiftSettings),
        .target(name: "CKVM", cSettings: cSettings),
        .target(name: "KVM", dependencies: ["CKVM", "HostEvents", systemPackage], swiftSettings: swiftSettings),
        .target(name: "GuestMemory", dependencies: [systemPackage], swiftSettings: swiftSettings),
        .target(name: "InstructionEmulator", swiftSettings: swiftSettings),
        .target(name: "Devices", dependencies: [logging], swiftSettings: swiftSettings),
        .target(name: "CStorage", cSettings: cSettings, linkerSettings: [.linkedLibrary("uring")]),
        .target(
            name: "Storage",
            dependencies: ["CStorage", "HostEvents", systemPackage],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Virtio",
            dependencies: ["GuestMemory", "HostEvents", "Devices", "Storage", logging, systemPackage],
            swiftSettings: swiftSettings
        ),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CLZMA", pkgConfig: "liblzma", providers: [.apt(["liblzma-dev"])]),
        .systemLibrary(name: "CBzip2", providers: [.apt(["libbz2-dev"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(
            name: "LinuxBoot",
            dependencies: ["GuestMemory", systemPackage] + compressionLibraries,
            swiftSettings: swiftSettings
        ),
        .systemLibrary(name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
        .target(name: "JSON", dependencies: ["CJansson"], swiftSettings: swiftSettings),
        .target(name: "CHTTP", cSettings: cSettings),
        .target(name: "HTTP", dependencies: ["CHTTP", "HostEvents", systemPackage], swiftSettings: swiftSettings),
        .target(name: "CTerminal", cSettings: cSettings),
        .target(
            name: "Machine",
            dependencies: [
                "CKVM", "CTerminal", "HostEvents", "KVM", "GuestMemory", "InstructionEmulator", "Devices", "Storage",
                "Virtio", "LinuxBoot", logging, systemPackage,
            ],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Martlet",
            dependencies: ["LinuxBoot", "Virtio", "Storage", "Machine", logging, systemPackage],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "MachineAPI",
            dependencies: [
                "HTTP", "HostEvents", "JSON", "LinuxBoot", "Machine", "Storage", "Virtio", logging, systemPackage,
            ],
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "martlet-monitor",
            dependencies: ["HTTP", "HostEvents", "JSON", "Machine", "MachineAPI", logging, systemPackage],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "MachineRegistry",
            dependencies: [
                "HTTP", "HostEvents", "JSON", "LinuxBoot", "Machine", "MachineAPI", "Storage", systemPackage,
            ],
            swiftSettings: swiftSettings
        ),
        .target(name: "CComparison", cSettings: cSettings),
        .target(
            name: "Comparison",
            dependencies: ["CComparison", "JSON", "Storage", systemPackage],
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "martlet",
            dependencies: [
                "Comparison", "HTTP", "HostEvents", "JSON", "LinuxBoot", "Machine", "MachineAPI", "MachineRegistry",
                "Storage", logging,
                systemPackage,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "TestSupport",
            dependencies: [
                "CKVM", "CStorage", "HostEvents", "KVM", "GuestMemory", "InstructionEmulator", "Devices", "Storage",
                "Virtio",
                logging, systemPackage,
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "GuestMemoryTests",
            dependencies: ["GuestMemory", systemPackage],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "DevicesTests",
            dependencies: ["Devices", "TestSupport", logging],
            swiftSettings: swiftSettings
        ),
        .testTarget(name: "HostEventsTests", dependencies: ["HostEvents"], swiftSettings: swiftSettings),
        .testTarget(
            name: "StorageTests",
            dependencies: ["CStorage", "Storage", "HostEvents", "TestSupport", systemPackage],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "VirtioTests",
            dependencies: [
                "Virtio", "GuestMemory", "HostEvents", "Devices", "Storage", "TestSupport", logging, systemPackage,
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: swiftSettings),
        .testTarget(
            name: "HTTPTests",
            dependencies: ["HTTP", "HostEvents", "TestSupport", systemPackage],
            swiftSettings: swiftSettings
        ),
        .target(name: "CNativeExecution", path: "Tests/CNativeExecution", cSettings: cSettings),
        .testTarget(
            name: "InstructionEmulatorTests",
            dependencies: ["InstructionEmulator", "CNativeExecution", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .target(name: "CBootParameters", path: "Tests/CBootParameters", cSettings: cSettings),
        .testTarget(
            name: "LinuxBootTests",
            dependencies: ["LinuxBoot", "GuestMemory", "CBootParameters", systemPackage] + compressionLibraries,
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "KVMTests",
            dependencies: ["CKVM", "HostEvents", "KVM", "GuestMemory", "TestSupport", systemPackage],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "MachineTests",
            dependencies: [
                "CKVM", "HostEvents", "KVM", "GuestMemory", "InstructionEmulator", "Devices", "LinuxBoot", "Machine",
                "TestSupport", logging, systemPackage,
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "MachineAPITests",
            dependencies: [
                "HTTP", "HostEvents", "JSON", "LinuxBoot", "Machine", "MachineAPI", "Storage", "TestSupport", logging,
                systemPackage,
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "MartletLibraryTests",
            dependencies: ["Martlet", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ComparisonTests",
            dependencies: ["CComparison", "Comparison", "JSON", "TestSupport", systemPackage],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "MartletTests",
            dependencies: ["JSON", "Machine", "Storage", "TestSupport"],
            swiftSettings: swiftSettings
        ),
    ]
)

// Set by scripts/fuzz.sh: then all code tells libFuzzer where it goes, and there is a program that it runs.
if Context.environment["MARTLET_FUZZ"] != nil {
    let flags = ["-sanitize=fuzzer,address"]
    package.targets += [
        .target(name: "CFuzzer", path: "Tests/CFuzzer", cSettings: cSettings),
        .executableTarget(
            name: "martlet-fuzz",
            dependencies: [
                "CFuzzer", "InstructionEmulator", "GuestMemory", "Devices", "Storage", "Virtio", "LinuxBoot",
                "JSON", "HTTP", "TestSupport",
                logging,
                systemPackage,
            ],
            path: "Tests/Fuzzing",
            exclude: ["Corpus"],
            swiftSettings: swiftSettings,
            linkerSettings: [.unsafeFlags(flags)]
        ),
    ]
    for target in package.targets {
        target.swiftSettings?.append(.unsafeFlags(flags))
    }
}

// Set by `make bench`: a program that drives devices in its own process, which needs what the package keeps to itself.
if Context.environment["MARTLET_BENCH"] != nil {
    package.targets.append(
        .executableTarget(
            name: "martlet-device-bench",
            dependencies: [
                "GuestMemory", "HostEvents", "Devices", "Storage", "Virtio", "TestSupport", systemPackage,
            ],
            path: "Benchmarks/DeviceModel",
            swiftSettings: swiftSettings
        )
    )
}
