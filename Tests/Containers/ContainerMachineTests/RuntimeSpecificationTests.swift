// SPDX-License-Identifier: Apache-2.0

import ContainerMachine
import GuestAgent
import Host
import JSON
import SystemPackage
import Testing

@Suite struct RuntimeSpecificationTests {
    @Test func `a process is the guest's program with its user, capabilities and limits`() throws {
        let program = try RuntimeSpecification.program([
            "args": ["sh", "-c", "true"], "env": ["A=B"], "cwd": "/work", "terminal": true, "noNewPrivileges": true,
            "user": ["uid": 1000, "gid": 1001, "umask": 18, "additionalGids": [7]],
            "capabilities": ["bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_OF_TOMORROW"], "ambient": []],
            "rlimits": [
                ["type": "RLIMIT_NOFILE", "soft": 10, "hard": -1],
                ["type": "RLIMIT_CORE", "soft": 0, "hard": .unsigned(.max)],
            ],
            "consoleSize": ["height": 40, "width": 100],
        ])
        #expect(program.arguments == ["sh", "-c", "true"] && program.folder == "/work" && program.hasTerminal)
        #expect(program.user?.id == 1000 && program.user?.umask == 18 && program.user?.otherGroups == [7])
        #expect(program.capabilities?.bounding == 0b100001 && program.capabilities?.effective == 0)
        #expect(
            program.limits == [
                GuestProgram.Limit(resource: 7, soft: 10, hard: .max),
                GuestProgram.Limit(resource: 4, soft: 0, hard: .max),
            ]
        )
        #expect(program.size == Terminal.Size(rows: 40, columns: 100) && program.hasNoNewPrivileges)
    }

    @Test(
        arguments: [
            [:], ["args": []], ["args": ["sh"], "user": ["uid": -1]], ["args": ["sh"], "user": ["gid": "root"]],
            ["args": ["sh"], "rlimits": [["type": "RLIMIT_NOSUCH"]]],
        ] as [JSONValue]
    )
    func `a process that cannot be is refused in words`(process: JSONValue) {
        #expect(throws: RuntimeSpecification.Problem.self) { try RuntimeSpecification.program(process) }
    }

    @Test func `a container whose name is another one's to say takes it from its variable`() throws {
        let process: JSONValue = ["args": ["sh"], "env": ["HOSTNAME=old", "HOSTNAME=pod", "A=B"]]
        for (hostname, expected) in [(nil, "pod"), ("box", "box")] as [(JSONValue?, String)] {
            var configuration = JSONObject()
            (configuration["process"], configuration["hostname"]) = (process, hostname)
            let program = try RuntimeSpecification.container(.object(configuration), base: "/dev/vda", scratch: "")
            guard case .newContainer(let container) = program.place else {
                Issue.record("the program runs in a container of its own")
                return
            }
            #expect(container.hostName == expected)
        }
    }

    @Test func `paths that engines mask or make read-only, and the filter of calls, are the guest's too`() throws {
        let filter = SystemCallFilter([SystemCallFilter.Instruction(6, 0x7fff_0000)], flags: 2)
        let configuration: JSONValue = [
            "process": ["args": ["sh"]], "filter": filter.description,
            "linux": ["maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys", "/proc/irq"]],
        ]
        let program = try RuntimeSpecification.container(configuration, base: "/dev/vda", scratch: "")
        guard case .newContainer(let container) = program.place else {
            Issue.record("the program runs in a container of its own")
            return
        }
        #expect(container.maskedPaths == ["/proc/kcore"] && container.readonlyPaths == ["/proc/sys", "/proc/irq"])
        #expect(program.filter == filter)
        #expect(try RuntimeSpecification.program(["args": ["true"]], in: configuration).filter == filter)
        #expect(try RuntimeSpecification.program(["args": ["true"]]).filter == nil)
    }

    @Test(arguments: [(10, 10), (1023, 1023), (1024, nil), (2048, nil), (0, nil), (-1, nil)] as [(Int64, UInt64?)])
    func `a limit of processes that a guest of 128 MiB could pass is the container's in the guest`(
        limit: Int64,
        expected: UInt64?
    ) throws {
        let program = try RuntimeSpecification.container(
            ["process": ["args": ["sh"]], "linux": ["resources": ["pids": ["limit": .integer(limit)]]]],
            base: "/dev/vda",
            scratch: "",
            guestMiB: 128
        )
        guard case .newContainer(let container) = program.place else {
            Issue.record("the program runs in a container of its own")
            return
        }
        #expect(container.membership?.processLimit == expected)
    }

    @Test func `mounts become those of the guest: flags, data and copies`() throws {
        let program = try RuntimeSpecification.container(
            [
                "process": ["args": ["sh"]], "hostname": "box", "root": ["readonly": true],
                "mounts": [
                    [
                        "destination": "/t", "type": "tmpfs", "source": "tmpfs",
                        "options": ["nosuid", "rw", "tmpcopyup", "size=1m"],
                    ],
                    [
                        "destination": "/f", "type": "bind", "source": "/c/files/0",
                        "options": ["rbind", "ro", "rprivate"],
                    ],
                    ["destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]],
                ],
                "linux": ["sysctl": ["net.core.somaxconn": "5"]],
            ],
            base: "/dev/vda",
            scratch: "/dev/vdb"
        )
        guard case .newContainer(let container) = program.place else {
            Issue.record("the program runs in a container of its own")
            return
        }
        #expect(container.isReadOnly && container.hostName == "box" && container.base == "/dev/vda")
        #expect(container.settings == [GuestContainer.Setting("net.core.somaxconn", "5")])
        #expect(
            container.mounts == [
                .fileSystem(type: "tmpfs", source: "tmpfs", target: "/t", flags: 2, options: "size=1m"),
                .staged(at: "/c/files/0", target: "/f", isReadOnly: true),
                .fileSystem(type: "cgroup2", source: "cgroup", target: "/sys/fs/cgroup", flags: 1, options: ""),
            ]
        )
    }
}
