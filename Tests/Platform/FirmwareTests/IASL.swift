// SPDX-License-Identifier: Apache-2.0

import Firmware
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The ACPI compiler of `acpica-tools`, run in a directory of its own.
final class IASL {
    /// The reason why the compiler cannot be used; not the same as a table that it refuses.
    enum Failure: Error {
        case missing(String)
        case host(String)
    }

    private let directory: String

    /// Makes the directory.
    ///
    /// - Throws: When there is no `iasl` on this machine, or no room for a directory.
    init() throws {
        guard try Self.run("iasl -v").status == 0 else {
            throw Failure.missing("iasl is not installed: apt-get install -y acpica-tools")
        }
        let made = try Self.run("mktemp -d")
        guard made.status == 0 else { throw Failure.host(made.output) }
        directory = String(made.output.prefix { !$0.isNewline })
    }

    deinit {
        _ = try? Self.run("rm -rf '\(directory)'")
    }

    /// Disassembles a table and compiles it again, either of which fails the test on an error or a warning.
    ///
    /// - Parameter table: The table; not the RSDP.
    /// - Returns: The source, and the bytes of the second table.
    /// - Throws: When a file cannot be written or was not made.
    func roundTrip(_ table: ACPITable) throws -> (source: String, bytes: [UInt8]) {
        let name = "\(directory)/\(table.signature)"
        try Self.write(table.bytes, to: "\(name).aml")
        let disassembly = try Self.run("iasl -d '\(name).aml'")
        #expect(disassembly.status == 0, "\(disassembly.output)")
        for word in ["Warning", "Error", "Invalid", "Incorrect"] {
            #expect(!disassembly.output.contains(word), "\(disassembly.output)")
        }
        let compilation = try Self.run("iasl -we -p '\(directory)/again' '\(name).dsl'")
        #expect(compilation.status == 0, "\(compilation.output)")
        #expect(compilation.output.contains(" 0 Errors, 0 Warnings"), "\(compilation.output)")
        let source = String(decoding: try Self.read("\(name).dsl"), as: UTF8.self)
        return (source, try Self.read("\(directory)/again.aml"))
    }

    /// Runs a method in ACPICA's interpreter, with operation regions that are filled with one value.
    ///
    /// - Parameters:
    ///   - method: Its path, and its arguments.
    ///   - table: The definition block that it is part of.
    ///   - value: What every byte of every region reads as.
    /// - Returns: What the interpreter printed.
    /// - Throws: When the table cannot be written.
    func execute(_ method: String, of table: ACPITable, portsRead value: Int) throws -> String {
        let path = "\(directory)/executed.aml"
        try Self.write(table.bytes, to: path)
        return try Self.run("acpiexec -fv \(value) -b 'execute \(method)' '\(path)'").output
    }

    // MARK: - Files and processes

    private static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = unsafe fopen(path, "w") else { throw Failure.host("open \(path)") }
        for byte in bytes { unsafe fputc(CInt(byte), file) }
        guard unsafe fclose(file) == 0 else { throw Failure.host("write \(path)") }
    }

    private static func read(_ path: String) throws -> [UInt8] {
        guard let file = unsafe fopen(path, "r") else { throw Failure.host("open \(path)") }
        defer { unsafe fclose(file) }
        return unsafe contents(of: file)
    }

    /// All output of a shell command, errors included, and its wait status.
    private static func run(_ command: String) throws -> (status: CInt, output: String) {
        guard let pipe = unsafe popen("{ \(command) ; } 2>&1", "r") else { throw Failure.host("popen") }
        let output = unsafe contents(of: pipe)
        return (unsafe pclose(pipe), String(decoding: output, as: UTF8.self))
    }

    private static func contents(of file: UnsafeMutablePointer<FILE>) -> [UInt8] {
        var bytes: [UInt8] = []
        while case let byte = unsafe fgetc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return bytes
    }
}
