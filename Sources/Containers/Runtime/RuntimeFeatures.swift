// SPDX-License-Identifier: Apache-2.0

import JSON

/// The answer of `features`: the parts of OCI's runtime specification that machines serve, whatever the host's runtime supports.
enum RuntimeFeatures {
    static let description: JSONValue = [
        "ociVersionMin": "1.0.0", "ociVersionMax": "1.0.2",
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": [
            "async", "atime", "bind", "defaults", "dev", "diratime", "exec", "noatime", "nodev", "nodiratime", "noexec",
            "nosuid", "private", "rbind", "relatime", "ro", "rprivate", "rshared", "rslave", "rw", "shared", "slave",
            "strictatime", "suid", "sync", "tmpcopyup",
        ],
        "linux": [
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "uts"],
            "cgroup": ["v1": true, "v2": true, "systemd": true, "systemdUser": false],
            "seccomp": ["enabled": true], "apparmor": ["enabled": true], "selinux": ["enabled": false],
        ],
    ]
}
