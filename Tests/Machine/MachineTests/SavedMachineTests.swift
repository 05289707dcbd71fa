// SPDX-License-Identifier: Apache-2.0

import Console
import Host
import JSON
import KVM
import Machine
import MachineModel
import Snapshot
import Testing

/// The format of a snapshot's `state`.
struct SavedMachineTests {
    /// A state that Martlet wrote when the format was 1.0; bytes of KVM's are cut short.
    ///
    /// It stays as it is: each later 1.x reads it. A minor version that adds something gets a text of its own beside it.
    private static let version1point0 = """
        {
          "id": "AAECAwQFBgcICQoLDA0ODw==",
          "time": 1,
          "host": {
            "kernel": "6.18.0",
            "boot_id": "b",
            "vendor": "AuthenticAMD",
            "processor": "Model",
            "interprets_guest_code": true
          },
          "configuration": {
            "boot-source": {"kernel_image_path": "/vmlinux"},
            "drives": [
              {
                "drive_id": "disk0",
                "path_on_host": "/disk",
                "is_root_device": true,
                "is_read_only": false,
                "rate_limiter": {"ops": {"size": 100, "one_time_burst": 0, "refill_time": 1000}},
                "martlet": {"direct": false, "serial": "S1"}
              }
            ],
            "machine-config": {
              "vcpu_count": 1,
              "mem_size_mib": 64,
              "smt": false,
              "track_dirty_pages": false,
              "huge_pages": "None",
              "martlet": {"exit_status_port": true}
            },
            "entropy": {}
          },
          "guest": {"uses_acpi": false, "reports_panic_by_reset": true},
          "disks": [{"drive_id": "disk0", "bytes": 1048576, "copied": true}],
          "memory": {"bytes": 67108864, "crc32c": "AQID"},
          "kvm": {"irqchips": ["AQID", "AQID", "AQID"], "pit": "AQID", "clock": "AQID"},
          "vcpus": [
            {
              "mp_state": 0,
              "regs": "AQID",
              "sregs": "AQID",
              "xsave": "AQID",
              "xcrs": "AQID",
              "debugregs": "AQID",
              "lapic": "AQID",
              "tsc_khz": 2596134,
              "cpuid": "AQID",
              "msrs": "AQID",
              "events": "AQID"
            }
          ],
          "devices": {
            "serialPort": {
              "interruptEnable": 0,
              "fifoControl": 0,
              "lineControl": 0,
              "modemControl": 0,
              "scratch": 0,
              "divisor": 12,
              "modemInputs": 176,
              "modemDeltas": 0,
              "latchedLineErrors": 0,
              "lastReceived": 0,
              "receiverFIFO": [],
              "heldInput": [],
              "isTransmitterReady": true,
              "isTransmitterInterruptPending": false,
              "isTimeoutPending": false,
              "interruptLevel": false,
              "idlePollCount": 0,
              "isPolledReceiver": false,
              "lastAccessWasTransmit": false
            },
            "keyboardController": {
              "memory": [
                101, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0
              ],
              "outputPort": 3,
              "outputBuffer": 0,
              "isOutputBufferFull": false,
              "lastWriteWasCommand": false,
              "isTranslatingBreak": false,
              "keyboard": {
                "output": [],
                "isScanning": true,
                "scancodeSet": 2,
                "leds": 0,
                "typematic": 43,
                "lastSent": 0
              }
            },
            "clock": {
              "index": 0,
              "memory": [
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 38, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 2, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0
              ],
              "offset": 0,
              "interruptLevel": false
            },
            "power": {"pendingEvents": 0, "hasWoken": false},
            "panicNotifier": {"announced": 0},
            "hostBridge": {"address": 0},
            "attached": [
              {
                "id": "vda",
                "mmio": {
                  "status": 0,
                  "interruptStatus": 0,
                  "configurationGeneration": 0,
                  "deviceFeaturesSelect": 0,
                  "driverFeaturesSelect": 0,
                  "driverFeatures": 0,
                  "queueSelect": 0,
                  "queues": [
                    {
                      "size": 0,
                      "isReady": false,
                      "descriptorTable": 0,
                      "driverArea": 0,
                      "deviceArea": 0
                    }
                  ],
                  "wasActivated": false
                },
                "device": {
                  "queues": {"queues": [], "isFaulty": false},
                  "block": {"capacity": 2048, "isWriteback": true, "untoldFlushFailure": 0}
                }
              },
              {
                "id": "entropy",
                "mmio": {
                  "status": 0,
                  "interruptStatus": 0,
                  "configurationGeneration": 0,
                  "deviceFeaturesSelect": 0,
                  "driverFeaturesSelect": 0,
                  "driverFeatures": 0,
                  "queueSelect": 0,
                  "queues": [
                    {
                      "size": 0,
                      "isReady": false,
                      "descriptorTable": 0,
                      "driverArea": 0,
                      "deviceArea": 0
                    }
                  ],
                  "wasActivated": false
                },
                "device": {"queues": {"queues": [], "isFaulty": false}}
              }
            ]
          }
        }
        """

    @Test func `a state of format 1.0 is read, and what is written of it means the same`() throws {
        let golden = try JSONValue(parsing: Array(Self.version1point0.utf8))
        let machine = try golden.decode(as: SavedMachine.self)
        #expect(machine.configuration.drives[0].serial == "S1")
        #expect(machine.disks == [SavedDisk(id: "disk0", byteCount: 1 << 20, isCopied: true)])
        #expect(machine.vcpus[0].cpuid.bytes == [1, 2, 3])
        #expect(machine.devices.attached.map(\.id) == ["vda", "entropy"])
        #expect(SnapshotVersion.current.major == 1)
        #expect(try JSONValue(encoding: machine).decode(as: SavedMachine.self) == machine)
    }

    @Test func `a state keeps the console where there is one, and the places of its memory's data`() throws {
        guard case .object(var members) = try JSONValue(parsing: Array(Self.version1point0.utf8)) else { return }
        members["memory"] = ["bytes": 67_108_864, "crc32c": "AQID", "data_pages": [0, 3, 300, 400]]
        members["console"] = ["typed": "eHk=", "line_breaks": [1], "sent": "YWJj", "sent_bytes": 1000]
        let text = JSONValue.object(members)
        let machine = try text.decode(as: SavedMachine.self)
        #expect(machine.memory.data == [0, 3, 300, 400])
        #expect(machine.console?.typed.bytes == Array("xy".utf8))
        #expect(machine.console?.lineBreaks == [1])
        #expect(machine.console?.sentByteCount == 1000)
        #expect(try JSONValue(encoding: machine).decode(as: SavedMachine.self) == machine)
    }
}
