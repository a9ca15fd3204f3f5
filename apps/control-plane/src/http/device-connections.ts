import type { Socket } from "node:net";
import type { PeerIdentity } from "@fairlead/bus/broker";

/** Long enough for an answer that is being sent to leave; a download that takes longer is cut. */
const graceMs = 250;

/** Which sockets devices have spoken over, so that a certificate that ends takes its open requests along. */
export interface DeviceConnections {
  /** The socket has shown this certificate of the plane's authority, whether it is in force or not. */
  note(identity: Certificate, socket: Socket): void;
  /** Closes what the device has open, but for what was begun with the named certificate. */
  end(device: string, exceptFingerprint?: string): void;
  /** Closes what is open with a certificate whose time is over, and says of which devices. */
  endExpired(nowMs: number): readonly string[];
}

type Certificate = Pick<PeerIdentity, "device" | "fingerprint" | "notAfterMs">;

export function createDeviceConnections(): DeviceConnections {
  const devices = new Map<string, Map<Socket, Certificate>>();
  return {
    note: (certificate, socket) => {
      const { device } = certificate;
      const sockets = devices.get(device) ?? new Map<Socket, Certificate>();
      if (sockets.has(socket) || socket.destroyed) return;
      devices.set(device, sockets.set(socket, certificate));
      socket.once("close", () => {
        sockets.delete(socket);
        if (sockets.size === 0 && devices.get(device) === sockets) devices.delete(device);
      });
    },
    end: (device, exceptFingerprint) => {
      // New requests are refused from now on by the question whether the certificate is in force.
      for (const [socket, { fingerprint }] of devices.get(device) ?? [])
        if (fingerprint !== exceptFingerprint) setTimeout(() => socket.destroy(), graceMs).unref();
    },
    endExpired: (nowMs) => {
      const ended = new Set<string>();
      for (const [socket, { device, notAfterMs }] of [...devices.values()].flatMap((sockets) => [...sockets]))
        if (!(nowMs < notAfterMs)) {
          socket.destroy();
          ended.add(device);
        }
      return [...ended];
    },
  };
}
