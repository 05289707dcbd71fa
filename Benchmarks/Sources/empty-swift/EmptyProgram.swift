// SPDX-License-Identifier: Apache-2.0

/// The least that a process in Swift costs.
@main
enum EmptyProgram {
    static func main() {}
}
