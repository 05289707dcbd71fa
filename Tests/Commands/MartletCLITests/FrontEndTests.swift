// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// The same machine from options, from a file and with a name: one contract.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct FrontEndTests {
    private let machines: NamedMachines
    private let folder: TemporaryFolder
    /// The offset in `boot_params` of the command line's address.
    private let commandLine = GuestCode.dump(behind32BitPointerAt: 0x228, byteCount: 1024)

    init() throws {
        machines = try NamedMachines()
        folder = try TemporaryFolder()
    }

    /// A configuration file for a guest of a few bytes, with more sections.
    private func file(_ code: [GuestCode], _ sections: String = "") throws -> String {
        let kernel = try folder.write(TinyELF(code).bytes, to: "kernel")
        let text = #"{"boot-source":{"kernel_image_path":"\#(kernel)","boot_args":"from=file"}\#(sections)}"#
        return try folder.write(Array(text.utf8), to: "machine.json")
    }

    private func run(_ code: [GuestCode], _ sections: String = "", _ options: String...) throws -> Martlet.Result {
        try Martlet(["run", "--config", file(code, sections)] + options).runToEnd()
    }

    // MARK: - The console contract

    @Test func `what is piped into a machine of a file is all the guest's, the escape key included`() throws {
        let path = try file([.write("ready"), .echo(byteCount: 256), .powerOff, .spin])
        try Martlet(["run", "--config", path]).run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write(ConsoleTests.everyByte)
            #expect(try martlet.output.read(count: 256) == ConsoleTests.everyByte)
            #expect(try martlet.termination() == .exited(0))
        }
    }

    @Test func `a machine of a file has the console commands of any other on a terminal`() throws {
        let path = try file([.write("ready"), .spin])
        try Martlet(["run", "--config", path]).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write("\u{1}h")
            try martlet.messages.read(until: "console commands:")
            try martlet.input.write("\u{1}x")
            let result = try martlet.end()
            #expect(result.termination == .exited(0))
            #expect(result.messages.contains("Ctrl-a x stops the machine"))
            #expect(result.messages.contains("the machine was stopped"))
        }
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    func `a signal ends a machine of a file as that signal`(signal: CInt) throws {
        let path = try file([.write("ready"), .spin])
        try Martlet(["run", "--config", path]).run { martlet in
            try martlet.output.read(until: "ready")
            martlet.process.send(signal)
            #expect(try martlet.termination() == .signaled(signal))
        }
    }

    @Test func `a signal ends the process of an API as that signal`() throws {
        let path = try file([.write("ready"), .spin])
        try Martlet(["api", "--config-file", path, "--no-api"]).run { martlet in
            try martlet.output.read(until: "ready")
            martlet.process.send(SIGTERM)
            #expect(try martlet.termination() == .signaled(SIGTERM))
        }
    }

    @Test func `a reader that goes away ends a machine of a file as SIGPIPE`() throws {
        let path = try file([.write("ready"), .flood(UInt8(ascii: "."))])
        try Martlet(["run", "--config", path]).run { martlet in
            try martlet.output.read(until: "ready")
            martlet.output.closeInput()
            #expect(try martlet.termination() == .signaled(SIGPIPE))
        }
    }

    @Test func `a panic has the same status and words in each way to run a machine`() throws {
        let guest = [GuestCode.panic, .spin]
        let ways = [
            Martlet(guest: guest), Martlet(["run", "--config", try file(guest)]),
            machines.guest(guest, "--name", "one", "--rm"),
            machines.martlet("run", "--config", try file(guest), "--name", "two", "--rm"),
        ]
        let notes = try ways.map { way in
            let result = try way.runToEnd()
            #expect(result.termination == .exited(2))
            #expect(result.messages.contains("martlet: the guest's kernel panicked\n"))
            return result.messages.contains("no VT-x or AMD-V here")
        }
        #expect(Set(notes).count == 1)
    }

    // MARK: - Options and files

    @Test func `options take the place of what a file says`() throws {
        let size = #","machine-config":{"vcpu_count":1,"mem_size_mib":64}"#
        let changed = try run([commandLine, .powerOff, .spin], size, "--cmdline", "from=option").text
        #expect(changed.contains("from=option") && !changed.contains("from=file"))
        #expect(try run([commandLine, .powerOff, .spin], size).text.contains("from=file"))
        let refused = try run([.powerOff, .spin], size, "--entry", "pvh")
        #expect(refused.termination == .exited(1))
        #expect(refused.messages.contains("PVH"))
        let status = try run([.exit(5), .spin], size, "--exit-status-port")
        #expect(status.termination == .exited(5))
    }

    @Test func `a file's memory is what it says unless an option says another size`() throws {
        let size = #","machine-config":{"vcpu_count":1,"mem_size_mib":64}"#
        let pages = try [[], ["--memory", "32M"]].map { options in
            try Martlet(["run", "--config", file([.dumpBootParameters, .powerOff, .spin], size)] + options).runToEnd()
                .output
        }
        #expect(pages[0] != pages[1])
    }

    @Test func `a kernel that is named takes the place of a file's`() throws {
        let other = try folder.write(TinyELF([.write("other"), .powerOff, .spin]).bytes, to: "other")
        let path = try file([.write("first"), .powerOff, .spin])
        #expect(try Martlet(["run", other, "--config", path]).runToEnd().text == "other")
    }

    @Test func `a file without a kernel is refused with its name`() throws {
        let path = try folder.write(Array("{}".utf8), to: "machine.json")
        let result = try Martlet(["run", "--config", path]).runToEnd()
        #expect(result.termination == .exited(1))
        #expect(result.messages.contains("machine.json: boot-source: is missing"))
    }

    @Test func `a configuration may come through a pipe`() throws {
        let path = try file([.write("piped"), .powerOff, .spin])
        var martlet = Martlet(["run", "--config", "/dev/stdin", "--console", "none"])
        martlet.launcher = ["/bin/sh", "-c", "cat '\(path)' | \"$0\" \"$@\"; echo $?"]
        #expect(try martlet.runToEnd().text == "0\n")
    }

    @Test func `relative paths of a file mean the same with a name as without`() throws {
        _ = try folder.write(TinyELF([.write("here"), .powerOff, .spin]).bytes, to: "kernel.elf")
        let text = #"{"boot-source":{"kernel_image_path":"kernel.elf"}}"#
        _ = try folder.write(Array(text.utf8), to: "machine.json")
        for options in [[], ["--name", "web"]] {
            var martlet = machines.martlet("run", "--config", "machine.json")
            martlet.arguments += options
            martlet.launcher = ["/bin/sh", "-c", "cd '\(folder.path)' && exec \"$0\" \"$@\""]
            let result = try martlet.runToEnd()
            #expect(result.termination == .exited(0), "\(result.messages)")
            #expect(result.text == "here")
        }
        #expect(try machines.run("inspect", "web").text.contains("\"\(folder.path)/kernel.elf\""))
    }

    @Test func `the file of a console is appended to, with a name as without`() throws {
        _ = try folder.write(Array("before|".utf8), to: "log")
        let guest = [GuestCode.write("once|"), .powerOff, .spin]
        let console = "file:\(folder.path)/log"
        #expect(try Martlet(guest: guest, "--console", console).runToEnd().termination == .exited(0))
        #expect(try machines.guest(guest, "--console", console, "--name", "web").runToEnd().termination == .exited(0))
        #expect(try Martlet(["run", "--config", file(guest), "--console", console]).runToEnd().output.isEmpty)
        #expect(String(decoding: try folder.read("log"), as: UTF8.self) == "before|once|once|once|")
    }

    @Test func `a kernel that a descriptor names is the same file for a machine with a name`() throws {
        let kernel = try folder.write(TinyELF([.write("by descriptor"), .powerOff, .spin]).bytes, to: "kernel")
        var martlet = machines.martlet("run", "/dev/fd/7", "--name", "web")
        martlet.launcher = ["/bin/sh", "-c", "exec \"$0\" \"$@\" 7<'\(kernel)'"]
        let result = try martlet.runToEnd()
        #expect(result.text == "by descriptor", "\(result.messages)")
        let description = try machines.run("inspect", "web").text
        #expect(description.contains("\"\(kernel)\""))
        #expect(!description.contains("/fd/"))
    }

    @Test func `an initial RAM disk without a name is passed on as it is`() throws {
        let kernel = try folder.write(
            TinyELF([.dump(behind32BitPointerAt: 0x218, byteCount: 8), .powerOff, .spin]).bytes,
            to: "k"
        )
        _ = try folder.write(Array("contents".utf8), to: "rd")
        var martlet = machines.martlet("run", kernel, "--initrd", "/dev/fd/7", "--name", "web")
        martlet.launcher = [
            "/bin/sh", "-c", "exec 7<'\(folder.path)/rd' && rm '\(folder.path)/rd' && exec \"$0\" \"$@\"",
        ]
        let result = try martlet.runToEnd()
        #expect(result.text == "contents", "\(result.messages)")
        #expect(try !machines.run("inspect", "web").text.contains("/fd/"))
    }

    // MARK: - Bytes

    @Test(arguments: [false, true])
    func `names and kernel parameters that are no UTF-8 pass unchanged`(hasName: Bool) throws {
        let kernel = try folder.write(TinyELF([commandLine, .powerOff, .spin]).bytes, to: "kernel")
        var martlet = machines.martlet("run")
        let copy = "k=\"$(printf '\(folder.path)/k\\351')\" && cp '\(kernel)' \"$k\""
        let options = hasName ? "--name web" : ""
        martlet.launcher = [
            "/bin/sh", "-c", "\(copy) && exec \"$0\" \"$1\" \"$k\" --cmdline \"$(printf 'a=\\351')\" \(options)",
        ]
        let result = try martlet.runToEnd()
        #expect(result.termination == .exited(0), "\(result.messages)")
        let line = result.output.prefix { $0 != 0 }
        #expect(line.suffix(3) == [0x61, 0x3d, 0xe9])
    }
}
