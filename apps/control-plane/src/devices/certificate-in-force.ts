import { createHash, timingSafeEqual } from "node:crypto";
import type { Device } from "@fairlead/store";

const toBytes = (text: string) => createHash("sha256").update(text, "utf8").digest();

/** Revocation is this question: only the newest certificate of a device that is enrolled (or quarantined) counts. */
export function isCertificateInForce(device: Device | undefined, fingerprint: string): boolean {
  return isAdmitted(device) && isSame(device.certificateFingerprint, fingerprint);
}

/** The certificate that was issued to replace the one in force, and was not used before. */
export function isCertificatePending(device: Device | undefined, fingerprint: string): boolean {
  return isAdmitted(device) && isSame(device.pendingCertificate?.fingerprint ?? null, fingerprint);
}

export function isAdmitted(device: Device | undefined): device is Device {
  return device !== undefined && (device.lifecycle === "enrolled" || device.lifecycle === "quarantined");
}

function isSame(known: string | null, fingerprint: string): boolean {
  return known !== null && timingSafeEqual(toBytes(known), toBytes(fingerprint));
}
