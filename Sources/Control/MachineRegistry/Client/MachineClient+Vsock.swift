// SPDX-License-Identifier: Apache-2.0

package import Host
import JSON
package import SystemPackage

extension MachineClient {
    /// The path of the machine's vsock socket.
    ///
    /// - Parameter limit: The moment by which the machine must have answered.
    /// - Returns: The path that its configuration names.
    /// - Throws: `RegistryError` where the machine has no vsock.
    package func vsockPath(until limit: TimeLimit = .after(patience)) throws(RegistryError) -> FilePath {
        guard let path = try request("GET", "/vm/config", until: limit)["vsock"]["uds_path"].string else {
            throw RegistryError("machine '\(folder.name)' has no vsock: start it without --vsock=none")
        }
        return FilePath(hostText: path)
    }

    /// Connects to a port of the guest, by its vsock.
    ///
    /// It waits until the guest has a driver for the connection, which blocks.
    package func connect(
        toPort port: UInt32,
        until limit: TimeLimit = .after(patience)
    ) throws(RegistryError) -> UnixSocket {
        let path = try vsockPath(until: limit)
        let socket: UnixSocket
        do throws(UnixSocketError) {
            socket = try UnixSocket.connect(to: path)
        } catch {
            throw RegistryError("machine '\(folder.name)': \(error)")
        }
        do throws(Errno) {
            try socket.connect(toGuestPort: port, until: limit)
            return socket
        } catch .connectionRefused {
            throw RegistryError("machine '\(folder.name)': no program in the guest listens on port \(port)")
        } catch .timedOut {
            throw RegistryError("machine '\(folder.name)': the guest's vsock driver does not answer yet")
        } catch {
            throw RegistryError("machine '\(folder.name)': vsock: \(error)")
        }
    }
}
