// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Host
import MachineAPI
import Synchronization
import SystemPackage

/// The socket of the REST API, its server, and the threads that serve requests.
extension MachineSession {
    /// Restricts the threads that serve requests once the machine runs.
    func restrictThreadsOfRequests() {
        guard HostThread.isCurrent("requests") else {
            // The thread of the server is still to start, and does it by itself.
            _ = requests?.run { [sandbox] in sandbox.restrictThread("requests") }
            return
        }
        sandbox.restrictThread("requests")
        server.withLock { $0 }?.run { [sandbox] in sandbox.restrictThread("http") }
    }

    func makeSocket() throws -> UnixSocket? {
        if let descriptor = settings.listeningDescriptor {
            return try UnixSocket(adoptingListener: OwnedDescriptor(adopting: descriptor))
        }
        // Firecracker's socket has 0755 under the usual umask. To connect needs the right to write, which the owner alone has in
        // both cases.
        let mode = FilePermissions(rawValue: settings.dialect == .firecracker ? 0o755 : 0o600)
        return try settings.apiSocket.map { path in
            try asFirecracker("Failed to open the API socket at: \(path). Check that it is not already used.: ") {
                try UnixSocket.listen(at: path, mode: mode)
            }
        }
    }

    func makeServer(_ service: MachineService) throws -> HTTPServer {
        let owner = geteuid()
        var limits = HTTPServerLimits()
        if let limit = settings.requestByteLimit { limits.request.bodyByteCount = limit }
        return try HTTPServer(
            limits: limits,
            style: .of(settings.dialect),
            isAllowed: { $0.userID == owner || $0.userID == 0 },
            onConnectionCountChange: { [settings, requests] count in
                guard settings.endsWhenUnused, count == 0 else { return }
                // The client that wanted a machine has gone before it ran.
                requests?.run { if !service.isOrdered { service.abandon() } }
            },
            handler: { [requests, settings] request, responder in
                _ = requests?.run {
                    // Each kind of request brings other parts of the program into memory, beside those of the guest's devices. Giving
                    // them back takes a millisecond, which delays the answer of a running machine: only Firecracker's tools check the
                    // memory of one.
                    let isChecked = settings.dialect == .firecracker
                    if isChecked, service.isStarted { ProcessMemory.giveBack() }
                    service.handle(request, responder)
                    if isChecked || !service.isStarted { ProcessMemory.giveBack() }
                }
            }
        )
    }
}
