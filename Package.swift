// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// One list for every Swift target: the strictest settings that the toolchain checks itself.
let strictSwift: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let strictC: [CSetting] = [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)]

let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

// A folder's last component is the name of its target, the components before it the groups that docs/architecture.md draws.

extension Target {
    static func swift(_ folder: String, uses: [Target.Dependency] = [], links: [LinkerSetting] = []) -> Target {
        .target(
            name: name(of: folder),
            dependencies: uses,
            path: folder,
            swiftSettings: strictSwift,
            linkerSettings: links
        )
    }

    static func program(
        _ folder: String,
        uses: [Target.Dependency],
        exclude: [String] = [],
        links: [LinkerSetting] = []
    ) -> Target {
        .executableTarget(
            name: name(of: folder),
            dependencies: uses,
            path: folder,
            exclude: exclude,
            swiftSettings: strictSwift,
            linkerSettings: links
        )
    }

    static func tests(_ folder: String, uses: [Target.Dependency]) -> Target {
        .testTarget(name: name(of: folder), dependencies: uses, path: folder, swiftSettings: strictSwift)
    }

    static func c(_ folder: String, uses: [Target.Dependency] = [], links: [LinkerSetting] = []) -> Target {
        .target(
            name: name(of: folder),
            dependencies: uses,
            path: folder,
            cSettings: strictC,
            linkerSettings: links
        )
    }

    static func system(_ folder: String, apt: [String]) -> Target {
        .systemLibrary(name: name(of: folder), path: folder, providers: [.apt(apt)])
    }

    private static func name(of folder: String) -> String {
        String(folder.split(separator: "/").last ?? "")
    }
}

let package = Package(
    name: "martlet",
    products: [
        .library(name: "Martlet", targets: ["Martlet"]),
        .executable(name: "martlet", targets: ["MartletCLI"]),
        .executable(name: "martlet-monitor", targets: ["Monitor"]),
        .executable(name: "martlet-runtime", targets: ["Runtime"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        // Tests alone read YAML.
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    // From the bottom up, as in docs/architecture.md: each target uses only what stands above it here.
    targets: [
        .swift("Sources/Model/MachineModel"),

        .c("Sources/Host/CHost"),
        .swift("Sources/Host/Host", uses: ["CHost", systemPackage]),
        .swift("Sources/Host/JSON"),
        .swift("Sources/Host/HTTP", uses: ["CHost", "Host", systemPackage]),

        .c("Sources/Hypervisor/CKVM"),
        .swift("Sources/Hypervisor/KVM", uses: ["CKVM", "Host", systemPackage]),
        .swift("Sources/Hypervisor/GuestMemory", uses: ["CHost", "Host", systemPackage]),
        .swift("Sources/Hypervisor/Interpreter"),

        .swift("Sources/Platform/Platform", uses: ["GuestMemory"]),
        .swift("Sources/Platform/Devices", uses: [logging]),
        .swift("Sources/Platform/Firmware", uses: ["GuestMemory", "Platform"]),

        // The payload of a bzImage is compressed with one of these; all are in every distribution.
        .system(
            "Sources/Boot/CCompression",
            apt: ["libbz2-dev", "liblz4-dev", "liblzma-dev", "zlib1g-dev", "libzstd-dev"]
        ),
        .swift(
            "Sources/Boot/LinuxBoot",
            uses: ["CCompression", "Firmware", "GuestMemory", "Host", "MachineModel", "Platform", systemPackage]
        ),

        .c("Sources/Virtio/CStorage", links: [.linkedLibrary("uring")]),
        .swift(
            "Sources/Virtio/Storage",
            uses: ["CHost", "CStorage", "Host", "MachineModel", systemPackage]
        ),
        .c("Sources/Virtio/CNetwork"),
        .swift("Sources/Virtio/Network", uses: ["CNetwork", "Host", "MachineModel", systemPackage]),
        .swift(
            "Sources/Virtio/Metadata",
            uses: ["Host", "HTTP", "JSON", "MachineModel", "Network", systemPackage]
        ),
        .swift(
            "Sources/Virtio/Virtio",
            uses: ["GuestMemory", "Host", "Devices", "Network", "Storage", logging, systemPackage]
        ),

        .swift(
            "Sources/Machine/Snapshot",
            uses: ["CCompression", "CHost", "CKVM", "Host", "JSON", "KVM", "GuestMemory", systemPackage]
        ),
        .swift(
            "Sources/Machine/Console",
            uses: ["CHost", "Devices", "Host", "MachineModel", "Storage", logging, systemPackage]
        ),
        .swift(
            "Sources/Machine/Machine",
            uses: [
                "CHost", "CKVM", "Console", "Host", "KVM", "GuestMemory", "Interpreter", "MachineModel", "Platform",
                "Devices", "Firmware", "Metadata", "Network", "Snapshot", "Storage", "Virtio", "LinuxBoot", logging,
                systemPackage,
            ]
        ),
        .swift(
            "Sources/Machine/Martlet",
            uses: ["Console", "Host", "Machine", "MachineModel", "Snapshot", "Virtio", logging, systemPackage]
        ),

        .swift("Sources/Control/GuestAgent", uses: ["CHost", "Host", "JSON", systemPackage]),
        .swift(
            "Sources/Control/MachineAPI",
            uses: [
                "Console", "HTTP", "Host", "JSON", "Machine", "MachineModel", "Metadata", "Network", "Snapshot",
                "Storage", "Virtio", logging, systemPackage,
            ]
        ),
        .swift(
            "Sources/Control/MachineSession",
            uses: [
                "CHost", "Console", "GuestAgent", "HTTP", "Host", "JSON", "Machine", "MachineAPI", "MachineModel",
                "Metadata", logging, systemPackage,
            ]
        ),
        .swift(
            "Sources/Control/MachineRegistry",
            uses: [
                "CHost", "HTTP", "Host", "JSON", "Machine", "MachineAPI", "MachineModel", "Snapshot", "Storage",
                systemPackage,
            ]
        ),
        .swift(
            "Sources/Control/MachineProcess",
            uses: [
                "Host", "JSON", "Machine", "MachineAPI", "MachineRegistry", "MachineSession", systemPackage,
            ]
        ),
        .program(
            "Sources/Control/Monitor",
            uses: [
                "Console", "GuestAgent", "Host", "Machine", "MachineAPI", "MachineModel", "MachineProcess",
                "MachineRegistry", "MachineSession", "Snapshot", systemPackage,
            ]
        ),

        .c("Sources/Containers/CContainers"),
        .swift("Sources/Containers/RootImage", uses: ["CContainers", "Host", systemPackage]),
        .swift(
            "Sources/Containers/OCIImage",
            uses: ["CContainers", "Host", "JSON", "LinuxBoot", "RootImage", systemPackage]
        ),
        .swift(
            "Sources/Containers/ContainerMachine",
            uses: ["CNetwork", "GuestAgent", "Host", "JSON", "MachineModel", systemPackage]
        ),
        .program(
            "Sources/Containers/Runtime",
            uses: ["CContainers", "CNetwork", "GuestAgent", "Host", "JSON", "RootImage", systemPackage]
        ),

        .swift("Sources/Commands/Compare", uses: ["Host", "JSON", "Storage", systemPackage]),
        .program(
            "Sources/Commands/MartletCLI",
            uses: [
                "Compare", "Console", "ContainerMachine", "GuestAgent", "HTTP", "Host", "JSON", "Machine", "MachineAPI",
                "MachineModel", "MachineProcess", "MachineRegistry", "MachineSession", "Network", "OCIImage",
                "RootImage", "Snapshot", "Storage", logging, systemPackage, argumentParser,
            ]
        ),

        .swift(
            "Tests/Support/TestSupport",
            uses: [
                "CHost", "CKVM", "CStorage", "Host", "KVM", "GuestMemory", "Interpreter", "Devices", "Storage",
                "Virtio", logging, systemPackage,
            ]
        ),
        .c("Tests/Support/CNativeExecution"),
        .c("Tests/Support/CHostileCode", uses: ["CHost"], links: [.linkedLibrary("uring")]),
        .c("Tests/Support/CBootParameters"),
        .c("Tests/Support/CGuestAgent"),

        .tests("Tests/Model/MachineModelTests", uses: ["JSON", "MachineModel"]),

        .tests("Tests/Host/HostTests", uses: ["CHost", "CHostileCode", "Host", "TestSupport", systemPackage]),
        .tests("Tests/Host/JSONTests", uses: ["JSON"]),
        .tests("Tests/Host/HTTPTests", uses: ["HTTP", "Host", "TestSupport", systemPackage]),
        .tests(
            "Tests/Hypervisor/KVMTests",
            uses: ["CKVM", "Host", "KVM", "GuestMemory", "TestSupport", systemPackage]
        ),
        .tests(
            "Tests/Hypervisor/GuestMemoryTests",
            uses: ["GuestMemory", "Host", "TestSupport", systemPackage]
        ),
        .tests(
            "Tests/Hypervisor/InterpreterTests",
            uses: ["Interpreter", "CNativeExecution", "TestSupport"]
        ),
        .tests("Tests/Platform/PlatformTests", uses: ["GuestMemory", "Platform"]),
        .tests("Tests/Platform/FirmwareTests", uses: ["Firmware", "GuestMemory", "Platform"]),
        .tests("Tests/Platform/DevicesTests", uses: ["Devices", "TestSupport", logging]),
        .tests(
            "Tests/Boot/LinuxBootTests",
            uses: [
                "CBootParameters", "CCompression", "Firmware", "GuestMemory", "LinuxBoot", "MachineModel", "Platform",
                systemPackage,
            ]
        ),
        .tests(
            "Tests/Virtio/StorageTests",
            uses: [
                "CHost", "CHostileCode", "CStorage", "Storage", "Host", "MachineModel", "TestSupport", systemPackage,
            ]
        ),
        .tests(
            "Tests/Virtio/MetadataTests",
            uses: ["HTTP", "Host", "JSON", "MachineModel", "Metadata", "Network", "TestSupport"]
        ),
        .tests(
            "Tests/Virtio/NetworkTests",
            uses: ["Network", "Host", "MachineModel", "TestSupport", systemPackage]
        ),
        .tests(
            "Tests/Virtio/VirtioTests",
            uses: [
                "CHost", "Virtio", "GuestMemory", "Host", "Devices", "MachineModel", "Network", "Storage",
                "TestSupport",
                logging,
                systemPackage,
            ]
        ),
        .tests(
            "Tests/Machine/SnapshotTests",
            uses: [
                "CKVM", "GuestMemory", "Host", "KVM", "Snapshot", "TestSupport", systemPackage,
            ]
        ),
        .tests(
            "Tests/Machine/ConsoleTests",
            uses: ["Console", "Devices", "Host", "TestSupport", logging, systemPackage]
        ),
        .tests(
            "Tests/Machine/MachineTests",
            uses: [
                "CKVM", "Console", "Host", "KVM", "GuestMemory", "Interpreter", "Devices", "JSON", "LinuxBoot",
                "Machine", "MachineModel", "Platform", "Snapshot", "Storage", "TestSupport", "Virtio",
                logging, systemPackage,
            ]
        ),
        .tests("Tests/Machine/MartletTests", uses: ["Martlet", "TestSupport"]),
        .tests(
            "Tests/Control/GuestAgentTests",
            uses: ["CHost", "GuestAgent", "Host", "JSON", "TestSupport", systemPackage]
        ),
        .tests(
            "Tests/Control/MachineAPITests",
            uses: [
                "Console", "HTTP", "Host", "JSON", "LinuxBoot", "Machine", "MachineAPI", "MachineModel",
                "Metadata", "Snapshot", "TestSupport", "Virtio", logging,
                systemPackage, .product(name: "Yams", package: "Yams"),
            ]
        ),
        .tests(
            "Tests/Control/MachineRegistryTests",
            uses: [
                "Host", "JSON", "MachineAPI", "MachineModel", "MachineRegistry", "TestSupport", systemPackage,
            ]
        ),
        .tests(
            "Tests/Control/MachineSessionTests",
            uses: ["GuestAgent", "Host", "MachineSession", "TestSupport", systemPackage]
        ),
        .tests(
            "Tests/Containers/OCIImageTests",
            uses: ["Host", "JSON", "OCIImage", "RootImage", "TestSupport", systemPackage]
        ),
        .tests(
            "Tests/Containers/ContainerMachineTests",
            uses: ["ContainerMachine", "GuestAgent", "Host", "JSON", systemPackage]
        ),
        .tests(
            "Tests/Containers/RuntimeTests",
            uses: ["Host", "JSON", "RootImage", "TestSupport", systemPackage]
        ),
        .tests(
            "Tests/Commands/CompareTests",
            uses: ["Compare", "Host", "JSON", "TestSupport", systemPackage]
        ),
        .tests(
            "Tests/Commands/MartletCLITests",
            uses: [
                "GuestAgent", "Host", "JSON", "Machine", "MachineModel", "Network", "Storage", "TestSupport",
                systemPackage,
            ]
        ),
    ]
)

// Set by scripts/fuzz.sh: then all code tells libFuzzer where it goes, and there is a program that it runs.
if Context.environment["MARTLET_FUZZ"] != nil {
    let flags = ["-sanitize=fuzzer,address"]
    package.targets += [
        .c("Tests/Support/CFuzzer"),
        .program(
            "Tests/Fuzzing/martlet-fuzz",
            uses: [
                "CFuzzer", "CGuestAgent", "GuestAgent", "Interpreter", "GuestMemory", "Devices", "KVM", "Machine",
                "MachineModel",
                "Network", "Snapshot", "Storage", "Virtio",
                "LinuxBoot", "Host",
                "JSON", "HTTP", "TestSupport", logging, systemPackage,
            ],
            links: [.unsafeFlags(flags)]
        ),
    ]
    for target in package.targets {
        target.swiftSettings?.append(.unsafeFlags(flags))
    }
}

// Set by `make bench`: a program that drives devices in its own process, which needs what the package keeps to itself.
if Context.environment["MARTLET_BENCH"] != nil {
    package.targets += [
        .c("Benchmarks/CBareFrames"),
        .program(
            "Benchmarks/martlet-device-bench",
            uses: [
                "CBareFrames", "GuestMemory", "Host", "Devices", "Network", "Storage", "Virtio", "TestSupport",
                systemPackage,
            ]
        ),
    ]
}
