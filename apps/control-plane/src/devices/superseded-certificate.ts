import { noSightings, watchIdentity } from "@fairlead/integrity";
import type { Device } from "@fairlead/store";

/**
 * Remembers that the certificate in force ends by its renewal: whoever shows it later holds a copy of the device's key.
 * Not of a device whose key is in a TPM: its sessions' keys are in its memory alone, change several times a day, and a
 * second process of the same device may have another one vouched for.
 */
export function toSuperseded(device: Device, nowMs: number): Pick<Device, "identityWatch"> {
  const { certificateFingerprint: fingerprint, enrolledAtMs, identityKey, identityWatch } = device;
  if (fingerprint === null || identityKey !== null) return { identityWatch };
  const sinceMs = enrolledAtMs ?? nowMs;
  const sighting = { kind: "certificate-ended", fingerprint, sinceMs, atMs: nowMs } as const;
  return { identityWatch: watchIdentity(identityWatch ?? noSightings, sighting) };
}
