// SPDX-License-Identifier: Apache-2.0

import Devices
import Host
import Logging
import MachineModel
import SystemPackage
import Virtio

extension VsockDevice {
    /// Makes the device of a description, and its socket if it has one.
    ///
    /// `configuration` is validated.
    convenience init(_ configuration: Vsock, logger: Logger) throws(MachineError) {
        let path = configuration.path.map { FilePath(hostText: $0) }
        let listener: UnixSocket?
        do throws(UnixSocketError) {
            listener = try path.map { path throws(UnixSocketError) in try UnixSocket.listen(at: path) }
        } catch {
            throw .vsock(error)
        }
        do throws(Errno) {
            try self.init(
                guestCID: configuration.guestCID,
                path: path,
                listener: listener,
                log: GuestFaultLog(device: "vsock", logger: logger)
            )
        } catch {
            listener?.removeFile()
            throw .descriptor("vsock", error)
        }
    }
}
