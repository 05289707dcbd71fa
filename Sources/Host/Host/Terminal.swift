// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// The terminal that this process runs on.
package enum Terminal {
    package static func isTerminal(_ file: FileDescriptor) -> Bool {
        isatty(file.rawValue) == 1
    }

    /// The size of a terminal's window, in characters.
    package struct Size: Codable, Hashable, Sendable {
        package var rows: UInt16
        package var columns: UInt16

        package init(rows: UInt16, columns: UInt16) {
            (self.rows, self.columns) = (rows, columns)
        }
    }

    /// The size of the terminal `file`; `nil` where that is none, or does not know.
    package static func size(of file: FileDescriptor) -> Size? {
        var size = winsize()
        guard unsafe ioctl(file.rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Size(rows: size.ws_row, columns: size.ws_col)
    }

    /// Passes every key through unread from now on, until `restore` or the end of the process, however it ends.
    package static func enterRawMode(_ file: FileDescriptor) throws(Errno) {
        try hostCall { chost_terminal_enter_raw(file.rawValue) }
    }

    /// Puts the terminal back as it was; nothing where it is not in raw mode.
    package static func restore() {
        chost_terminal_restore()
    }

    /// The end of a line for the user to read: a raw terminal does not return the carriage by itself.
    package static var lineEnd: String {
        chost_terminal_is_raw() != 0 ? "\r\n" : "\n"
    }

    /// Ends this process by `signal`, so that a shell sees what happened.
    package static func endProcess(bySignal signal: CInt) -> Never {
        chost_end_by_signal(signal)
    }
}
