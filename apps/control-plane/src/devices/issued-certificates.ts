import type { Device, Transaction } from "@fairlead/store";
import { isAdmitted } from "./certificate-in-force.ts";

/** What counts for a device now: its certificate in force, and the one that comes after it. */
function listCounting(device: Device | undefined): { readonly serial: string; readonly notAfterMs: number }[] {
  if (!isAdmitted(device)) return [];
  const { certificateFingerprint, certificateSerial: serial, certificateNotAfterMs: notAfterMs } = device;
  const isInForce = certificateFingerprint !== null && serial !== null && notAfterMs !== null;
  return [
    ...(isInForce ? [{ serial, notAfterMs }] : []),
    ...(device.pendingCertificate === null ? [] : [device.pendingCertificate]),
  ];
}

/**
 * To be called after each change of a device's certificates or of whether it is admitted: what was issued to it and does not
 * count any more goes to the list that brokers of one's own are given. The plane itself asks the device's row.
 */
export async function noteCertificates(tx: Transaction, device: string, nowMs: number): Promise<void> {
  await tx.deviceCertificates.keep(device, listCounting(await tx.devices.get(device)), nowMs);
}
