// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A terminal for another process, with this process in the place of the user.
package final class PseudoTerminal {
    /// The user's end: what the user sees and types.
    package let user: ByteStream
    /// The name of the terminal, for whoever opens it.
    package let path: String

    /// The terminal's settings before anybody had it.
    package private(set) var firstAttributes = TerminalAttributes(termios())

    private let master: CInt

    /// Makes a terminal of 80 columns and 25 lines in the state in which a login finds it.
    ///
    /// - Throws: `SystemCallFailure`.
    package init() throws {
        // What posix_openpt(3), unlockpt and ptsname do: glibc has them where Swift does not see them (pty(7)).
        let master = try checked("open /dev/ptmx", unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC))
        do {
            var isLocked: CInt = 0
            try checked("TIOCSPTLCK", unsafe ioctl(master, setLock, &isLocked))
            var number: CUnsignedInt = 0
            try checked("TIOCGPTN", unsafe ioctl(master, getNumber, &number))
            path = "/dev/pts/\(number)"
            user = try ByteStream(input: master, output: master)
        } catch {
            close(master)
            throw error
        }
        self.master = master
        try resize(columns: 80, lines: 25)
        firstAttributes = try attributes
    }

    /// Tells whoever runs on the terminal that its window has another size.
    package func resize(columns: UInt16, lines: UInt16) throws {
        var size = winsize(ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        try checked("TIOCSWINSZ", unsafe ioctl(master, UInt(TIOCSWINSZ), &size))
    }

    /// The terminal's settings now.
    package var attributes: TerminalAttributes {
        get throws {
            var settings = termios()
            // The master answers for the other side.
            try checked("tcgetattr", unsafe tcgetattr(master, &settings))
            return TerminalAttributes(settings)
        }
    }

    /// Hangs up, as a terminal window that is closed.
    package func hangUp() {
        user.close()
    }
}

// _IOW('T', 0x31, int) and _IOR('T', 0x30, unsigned int), which do not import (asm-generic/ioctls.h).
private let setLock: UInt = 0x4004_5431
private let getNumber: UInt = 0x8004_5430

/// The settings of a terminal, to be compared.
package struct TerminalAttributes: Hashable, Sendable {
    private let flags: [tcflag_t]
    private let speeds: [speed_t]
    private let controlCharacters: [UInt8]

    init(_ settings: termios) {
        flags = [settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag]
        speeds = [settings.c_ispeed, settings.c_ospeed]
        controlCharacters = unsafe withUnsafeBytes(of: settings.c_cc) { unsafe Array($0) }
    }

    /// Indicates whether every key is passed on at once and as it is, unseen and without a meaning of its own.
    package var isRaw: Bool {
        flags[3] & tcflag_t(ICANON | ECHO | ISIG | IEXTEN) == 0 && flags[1] & tcflag_t(OPOST) == 0
    }
}
