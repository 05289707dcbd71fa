// SPDX-License-Identifier: Apache-2.0

import JSON

/// A configuration with every field.
enum Everything {
    static func configure(_ fixture: APIFixture) throws {
        let limits: JSONValue = [
            "bandwidth": ["size": 1000, "refill_time": 10, "one_time_burst": 7],
            "ops": ["size": 5, "refill_time": 100],
        ]
        try fixture.put(
            "/boot-source",
            [
                "kernel_image_path": fixture.file("kernel"), "initrd_path": fixture.file("initrd"),
                "boot_args": "quiet x=\"a b\"",
                "martlet": ["entry": "pvh", "image_args": "rodata=off nosmp", "complete_boot_args": true],
            ]
        ).succeed()
        try fixture.put(
            "/machine-config",
            [
                "vcpu_count": 2, "mem_size_mib": 64, "smt": false, "track_dirty_pages": false, "cpu_template": "None",
                "huge_pages": "Transparent", "martlet": ["exit_status_port": true],
            ]
        ).succeed()
        try fixture.put(
            "/drives/data",
            [
                "drive_id": "data", "is_root_device": false, "path_on_host": fixture.disk("data"),
                "is_read_only": true, "cache_type": "Writeback", "io_engine": "Sync", "rate_limiter": limits,
                "martlet": ["direct": true, "serial": "S1", "queues": 4],
            ]
        ).succeed()
        try fixture.put(
            "/drives/root",
            [
                "drive_id": "root", "is_root_device": true, "path_on_host": fixture.disk("root"), "partuuid": "12-ab",
                "io_engine": "Async",
            ]
        ).succeed()
        try fixture.put(
            "/network-interfaces/eth0",
            [
                "iface_id": "eth0", "host_dev_name": "tap0", "guest_mac": "06:00:AC:10:00:02", "mtu": 1400,
                "rx_rate_limiter": limits, "tx_rate_limiter": limits, "martlet": ["queues": 2],
            ]
        ).succeed()
        try fixture.put(
            "/network-interfaces/other",
            ["iface_id": "other", "martlet": ["backend": "stream", "path": "/run/net.sock"]]
        ).succeed()
        try fixture.put(
            "/network-interfaces/third",
            ["iface_id": "third", "martlet": ["backend": "fd", "fd": [3]]]
        ).succeed()
        try fixture.put(
            "/mmds/config",
            [
                "version": "V2", "network_interfaces": ["eth0", "third"], "ipv4_address": "169.254.169.250",
                "imds_compat": true,
            ]
        ).succeed()
        try fixture.put("/vsock", ["guest_cid": 7, "uds_path": "/run/v.sock", "vsock_id": "v"]).succeed()
        try fixture.put("/entropy", ["rate_limiter": limits]).succeed()
        try fixture.put(
            "/serial",
            ["serial_out_path": fixture.file("serial"), "rate_limiter": ["size": 100, "refill_time": 1]]
        ).succeed()
        try fixture.put(
            "/logger",
            [
                "log_path": fixture.file("log"), "level": "warn", "show_level": true, "show_log_origin": true,
                "module": "Machine",
            ]
        ).succeed()
        try fixture.put("/metrics", ["metrics_path": fixture.file("metrics")]).succeed()
    }
}
