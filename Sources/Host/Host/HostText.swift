// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

// Text that stands for the host's bytes without loss.
//
// File names, arguments and environment of Linux are bytes; JSON, the API and `String` are text. Where bytes come in, each one
// that is not part of valid UTF-8 becomes the character U+10FE00 + byte, of a private-use plane. Where a path or the kernel
// command line is made, it becomes that byte again. Bytes that are such a character themselves, which nobody assigns, are
// escaped one by one: so every sequence of bytes has one text, and comes back from it.

/// The characters that stand for the bytes 0x80 to 0xff.
private let escapes: ClosedRange<UInt32> = 0x10fe80...0x10feff

extension String {
    package init(hostBytes bytes: [UInt8]) {
        // Most bytes are UTF-8 without 0xf4, the first byte of an escape, and decode to their text in one step.
        self.init(decoding: bytes, as: UTF8.self)
        guard bytes.contains(0xf4) || !utf8.elementsEqual(bytes) else { return }
        self = ""
        var rest = bytes[...]
        while let first = rest.first {
            let byteCount =
                switch first {
                case ..<0x80: 1
                case ..<0xe0: 2
                case ..<0xf0: 3
                default: 4
                }
            let character = String(validating: rest.prefix(byteCount), as: UTF8.self)?.unicodeScalars
            if let scalar = character?.first, character?.count == 1, !escapes.contains(scalar.value) {
                unicodeScalars.append(scalar)
                rest = rest.dropFirst(byteCount)
            } else {
                // A byte beyond ASCII, since all others are characters: so there is a scalar.
                unicodeScalars.append(Unicode.Scalar(escapes.lowerBound - 0x80 + UInt32(first)) ?? "\u{fffd}")
                rest = rest.dropFirst()
            }
        }
    }

    /// Makes the text of a C string.
    ///
    /// - Parameter string: Ends with a NUL.
    package init(hostString string: UnsafePointer<CChar>) {
        self.init(
            hostBytes: unsafe UnsafeBufferPointer(start: string, count: strlen(string)).map(UInt8.init(bitPattern:))
        )
    }

    /// The bytes that the text stands for.
    package var hostBytes: [UInt8] {
        // The byte that each of the escapes begins with in UTF-8, and few other characters.
        guard utf8.contains(0xf4) else { return Array(utf8) }
        return unicodeScalars.flatMap { scalar in
            escapes.contains(scalar.value) ? [UInt8(truncatingIfNeeded: scalar.value)] : Array(String(scalar).utf8)
        }
    }

    /// The components of a path, also empty ones: what lies between its bytes `/`.
    ///
    /// Characters are no measure of it. A slash and a combining mark behind it are one character, and divide a path nevertheless.
    package var pathComponents: [String] {
        utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { String(Substring($0)) }
    }

    /// The C string that the text stands for, for `posix_spawn` and its like.
    package var hostCString: [CChar] { hostBytes.map(CChar.init(bitPattern:)) + [0] }
}

/// Calls `body` with the C strings of texts, followed by NULL.
func withHostCStrings<R>(_ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
    let pointers = unsafe texts.map { unsafe strdup($0.hostCString) } + [nil]
    defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
    return unsafe pointers.withUnsafeBufferPointer { buffer in
        guard let first = buffer.baseAddress else { preconditionFailure("it ends with nil") }
        return unsafe body(first)
    }
}

extension FilePath {
    /// Makes the path of text that may stand for bytes which are not UTF-8.
    ///
    /// - Parameter text: As `String(hostBytes:)` makes it; what follows a NUL is lost.
    package init(hostText text: String) {
        self = unsafe text.hostCString.withUnsafeBufferPointer { bytes in
            // There is the terminating NUL at least, so there is a base.
            unsafe bytes.baseAddress.map { unsafe FilePath(platformString: $0) } ?? FilePath()
        }
    }

    /// The path as text from which it can be made again.
    package var hostText: String {
        unsafe withPlatformString { unsafe String(hostString: $0) }
    }
}
