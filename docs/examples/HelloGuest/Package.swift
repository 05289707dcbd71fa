// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
    name: "HelloGuest",
    dependencies: [.package(name: "martlet", path: "../../..")],
    targets: [
        .executableTarget(name: "HelloGuest", dependencies: [.product(name: "Martlet", package: "martlet")])
    ]
)
