import type { Socket } from "node:net";

/** Long enough for an answer that is being sent to leave; a download that takes longer is cut. */
const graceMs = 250;

/** Which sockets devices have spoken over, so that a certificate that ends takes its open requests along. */
export interface DeviceConnections {
  /** The socket has shown this certificate of the device, and it was in force. */
  note(device: string, fingerprint: string, socket: Socket): void;
  /** Closes what the device has open, but for what was begun with the named certificate. */
  end(device: string, exceptFingerprint?: string): void;
}

export function createDeviceConnections(): DeviceConnections {
  const devices = new Map<string, Map<Socket, string>>();
  return {
    note: (device, fingerprint, socket) => {
      const sockets = devices.get(device) ?? new Map<Socket, string>();
      if (sockets.has(socket) || socket.destroyed) return;
      devices.set(device, sockets.set(socket, fingerprint));
      socket.once("close", () => {
        sockets.delete(socket);
        if (sockets.size === 0 && devices.get(device) === sockets) devices.delete(device);
      });
    },
    end: (device, exceptFingerprint) => {
      // New requests are refused from now on by the question whether the certificate is in force.
      for (const [socket, fingerprint] of devices.get(device) ?? [])
        if (fingerprint !== exceptFingerprint) setTimeout(() => socket.destroy(), graceMs).unref();
    },
  };
}
