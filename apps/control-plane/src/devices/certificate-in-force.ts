import { createHash, timingSafeEqual } from "node:crypto";
import type { DeviceLifecycle } from "@fairlead/protocol";
import type { Device } from "@fairlead/store";

const toBytes = (text: string) => createHash("sha256").update(text, "utf8").digest();

/**
 * Revocation is this question: only the newest certificate of a device that is enrolled, quarantined or about to leave
 * counts. One that is about to leave has to hear it, and to say that it is empty.
 */
export function isCertificateInForce(device: Device | undefined, fingerprint: string, nowMs: number): boolean {
  return (
    isAdmitted(device) &&
    isSame(device.certificateFingerprint, fingerprint) &&
    isInTime(device.certificateNotAfterMs, nowMs)
  );
}

/** The certificate that was issued to replace the one in force, and was not used before. */
export function isCertificatePending(device: Device | undefined, fingerprint: string, nowMs: number): boolean {
  if (!isAdmitted(device) || device.pendingCertificate === null) return false;
  return (
    isSame(device.pendingCertificate.fingerprint, fingerprint) && isInTime(device.pendingCertificate.notAfterMs, nowMs)
  );
}

const admitted: ReadonlySet<DeviceLifecycle> = new Set(["enrolled", "quarantined", "decommissioning"]);

export function isAdmitted(device: Device | undefined): device is Device {
  return device !== undefined && admitted.has(device.lifecycle);
}

/** A handshake judges the end of a certificate once; what is asked over its connection later is judged here. */
function isInTime(notAfterMs: number | null, nowMs: number): boolean {
  return notAfterMs !== null && nowMs < notAfterMs;
}

function isSame(known: string | null, fingerprint: string): boolean {
  return known !== null && timingSafeEqual(toBytes(known), toBytes(fingerprint));
}
