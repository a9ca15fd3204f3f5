import { CodedError, type Clock } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { Device, Store } from "@fairlead/store";
import { issueDeviceCertificate, parseCertificateRequest, type Authority } from "../authority/certificates.ts";
import type { Asker, AuditLog, StreamFeed } from "../context.ts";
import { isCertificateInForce, isCertificatePending } from "./certificate-in-force.ts";
import { noteCertificates } from "./issued-certificates.ts";
import { toSuperseded } from "./superseded-certificate.ts";

export interface RenewalOptions {
  readonly tenant: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly authority: Authority;
  readonly certificateDays: number;
  /** What began with the certificate of before has to end; `fingerprint` is that of the one in force now. */
  readonly onReplaced: (device: string, fingerprint: string) => void;
}

export interface Renewals {
  /** Is this certificate in force? One that was issued anew comes into force here, and ends the one before it. */
  admit(device: string, fingerprint: string, fromAddress: string): Promise<boolean>;
  /** A certificate for a device that has shown one in force. @throws CodedError `csr_invalid` · `not_found` */
  renew(device: string, csr: string, by: Asker): Promise<{ readonly certificate: string }>;
  find(device: string): Promise<Pick<Device, "certificateSerial" | "certificateNotAfterMs">>;
}

/**
 * Issue, then replace at the first use: a device that loses power before the new certificate is on its disk goes on with
 * the old one, and asks again.
 */
export function createRenewals(options: RenewalOptions): Renewals {
  const { audit, clock, store, stream } = options;

  /** False when it had not to be replaced any more: another was faster, or the device was revoked while this waited. */
  const replace = (name: string, fingerprint: string, fromAddress: string): Promise<boolean> =>
    store.transaction(async (tx) => {
      const device = await tx.devices.get(name);
      const pending = device?.pendingCertificate ?? null;
      if (device === undefined || pending === null || !isCertificatePending(device, fingerprint, clock.nowMs()))
        return false;
      await tx.devices.update(name, {
        certificateSerial: pending.serial,
        certificateFingerprint: pending.fingerprint,
        certificateNotAfterMs: pending.notAfterMs,
        pendingCertificate: null,
        ...toSuperseded(device, clock.nowMs()),
        revision: device.revision + 1,
      });
      await noteCertificates(tx, name, clock.nowMs());
      await audit.append(tx, {
        ...{ actor: `device:${name}`, from: fromAddress },
        action: "device.renew-certificate",
        subject: name,
        reason: "the renewed certificate was used for the first time",
        change: {
          before: { serial: device.certificateSerial, notAfterMs: device.certificateNotAfterMs },
          after: { serial: pending.serial, notAfterMs: pending.notAfterMs },
        },
      });
      await stream.emit(tx, "device", name);
      return true;
    });

  const require = (device: Device | undefined): Device => {
    if (device !== undefined) return device;
    throw new CodedError<HttpErrorCode>("not_found", "the device is not known here", { hint: "enrol it again" });
  };

  return {
    admit: async (name, fingerprint, fromAddress) => {
      const device = await store.read.devices.get(name);
      if (isCertificateInForce(device, fingerprint, clock.nowMs())) return true;
      if (!isCertificatePending(device, fingerprint, clock.nowMs())) return false;
      if (!(await replace(name, fingerprint, fromAddress)))
        return isCertificateInForce(await store.read.devices.get(name), fingerprint, clock.nowMs());
      options.onReplaced(name, fingerprint);
      return true;
    },
    renew: async (name, csr, by) => {
      const certificate = await issueDeviceCertificate(options.authority, {
        request: await parseCertificateRequest(csr),
        device: name,
        tenant: options.tenant,
        nowMs: clock.nowMs(),
        days: options.certificateDays,
      });
      const { serial, fingerprint, notAfterMs } = certificate;
      await store.transaction(async (tx) => {
        const device = require(await tx.devices.get(name));
        // Whoever took a session's key from memory must not live on it: each certificate needs the TPM anew.
        if (device.identityKey !== null)
          throw new CodedError<HttpErrorCode>("session_refused", "this device's certificates need its TPM", {
            hint: "ask with the TPM's signature: POST /api/v1/device/session",
          });
        await tx.devices.update(name, { pendingCertificate: { serial, fingerprint, notAfterMs } });
        await noteCertificates(tx, name, clock.nowMs());
        await audit.append(tx, {
          ...by,
          action: "device.issue-certificate",
          subject: name,
          reason: "the device asked for it with the certificate in force",
          change: { before: device.pendingCertificate, after: { serial, fingerprint, notAfterMs } },
        });
      });
      return { certificate: certificate.certificatePem };
    },
    find: async (name) => require(await store.read.devices.get(name)),
  };
}
