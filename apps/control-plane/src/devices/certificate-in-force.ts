import { createHash, timingSafeEqual } from "node:crypto";
import type { Device } from "@fairlead/store";

const toBytes = (text: string) => createHash("sha256").update(text, "utf8").digest();

/** Revocation is this question: only the newest certificate of a device that is enrolled (or quarantined) counts. */
export function isCertificateInForce(device: Device | undefined, fingerprint: string): boolean {
  if (device === undefined || device.certificateFingerprint === null) return false;
  if (device.lifecycle !== "enrolled" && device.lifecycle !== "quarantined") return false;
  return timingSafeEqual(toBytes(device.certificateFingerprint), toBytes(fingerprint));
}
