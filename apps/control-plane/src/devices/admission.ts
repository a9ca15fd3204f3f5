import { reopenBaseline } from "@fairlead/integrity";
import { CodedError, type Clock } from "@fairlead/kernel";
import type { Assurance, EnrolResponse, HttpErrorCode, Labels } from "@fairlead/protocol";
import type { Device, EnrolmentRow, Transaction } from "@fairlead/store";
import { issueDeviceCertificate, parseCertificateRequest, type DeviceCertificate } from "../authority/certificates.ts";
import type { OpenAuthority } from "../authority/open-authority.ts";
import type { Endpoints } from "../broker/endpoints.ts";
import type { Asker, AuditLog, DeviceHooks, StreamFeed } from "../context.ts";
import { bindEndorsement } from "./endorsement-list.ts";
import { noteCertificates } from "./issued-certificates.ts";

const pollAfterMs = 2_000;

export interface AdmissionOptions {
  readonly tenant: string;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly authority: OpenAuthority;
  readonly endpoints: Endpoints;
  readonly certificateDays: number;
  /** The newest root document of the trust repository; null before there is one. */
  readonly readTrustRoot: () => Promise<string | null>;
  readonly hooks: () => readonly DeviceHooks[];
  /** What began with the certificate of before has to end; `fingerprint` is that of the one in force now. */
  readonly onReplaced: (device: string, fingerprint: string) => void;
  /** The name may have another key than before. */
  readonly onEnrolled: (tx: Transaction, device: string) => Promise<void>;
}

export interface Decision extends Asker {
  readonly certificate: DeviceCertificate;
}

type Owner =
  | { readonly kind: "new" }
  | { readonly kind: "again"; readonly existing: Device; readonly labels: Labels }
  | { readonly kind: "renewal"; readonly existing: Device };

/** From a request to a device with a certificate: who may have the name, what the device is then, what it is told. */
export interface Admission {
  /** Who asks under this name. @throws CodedError `device_exists`: the name is another device's */
  requireOwner(tx: Transaction, row: EnrolmentRow): Promise<Owner>;
  issueFor(row: Pick<EnrolmentRow, "csr" | "device">): Promise<DeviceCertificate>;
  admit(tx: Transaction, row: EnrolmentRow, decision: Decision): Promise<EnrolmentRow>;
  toAnswer(row: EnrolmentRow): Promise<EnrolResponse>;
}

const levels: Readonly<Record<Assurance, number>> = { software: 0, tpm: 1, "tpm-endorsed": 2 };

/** The same key stays in its TPM, whatever the device says of it the second time. */
function toKeyFacts(row: EnrolmentRow, existing: Device | undefined) {
  const { assurance, identityKey, endorsement } = row;
  const isSameKey = existing !== undefined && (identityKey === null || existing.identityKey === identityKey);
  if (isSameKey && levels[existing.assurance] > levels[assurance])
    return {
      assurance: existing.assurance,
      identityKey: existing.identityKey,
      endorsement: existing.endorsement,
    };
  return { assurance, identityKey, endorsement };
}

const toPending = ({ serial, fingerprint, notAfterMs }: DeviceCertificate) => ({ serial, fingerprint, notAfterMs });

/** What the name stood for before, in the terms of the audit log. */
function toHeld({ lifecycle, certificateSerial, certificateFingerprint, assurance, endorsement }: Device) {
  return { lifecycle, serial: certificateSerial, fingerprint: certificateFingerprint, assurance, endorsement };
}

export function createAdmission(options: AdmissionOptions): Admission {
  const { audit, authority, clock, stream } = options;

  const requireOwner: Admission["requireOwner"] = async (tx, { device, csrFingerprint, endorsement }) => {
    const existing = await tx.devices.get(device);
    if (existing === undefined) return { kind: "new" };
    if (existing.lifecycle === "decommissioned") return { kind: "again", existing, labels: {} };
    if (existing.lifecycle === "pending") return { kind: "again", existing, labels: existing.labels };
    const approved = (await tx.enrolments.listOfDevice(device)).filter(({ state }) => state === "approved");
    const present = approved.toSorted((left, right) => (right.decidedAtMs ?? 0) - (left.decidedAtMs ?? 0))[0];
    const known = existing.lifecycle === "enrolled" || existing.lifecycle === "quarantined";
    // A TPM that was cleared has another key and the same endorsement: it is the same device.
    const isSame =
      present?.csrFingerprint === csrFingerprint || (endorsement !== null && existing.endorsement === endorsement);
    if (known && isSame) return { kind: "renewal", existing };
    throw new CodedError<HttpErrorCode>("device_exists", `the device ${device} is enrolled already, with another key`, {
      hint: "choose another name, or decommission the old device first",
    });
  };

  return {
    requireOwner,
    issueFor: async (row) =>
      await issueDeviceCertificate(authority.authority, {
        request: await parseCertificateRequest(row.csr),
        device: row.device,
        tenant: options.tenant,
        nowMs: clock.nowMs(),
        days: options.certificateDays,
      }),
    toAnswer: async (row) => {
      const { enrolmentId, device } = row;
      if (row.state === "denied")
        return { state: "denied", enrolmentId, reason: row.reason ?? "denied by an operator" };
      if (row.state === "pending" || row.certificate === null) return { state: "pending", enrolmentId, pollAfterMs };
      return {
        state: "approved",
        enrolmentId,
        tenant: options.tenant,
        device,
        assurance: row.assurance,
        certificate: row.certificate,
        ca: authority.authority.certificatePem,
        signingKeys: [...authority.signingKeys],
        trustRoot: await options.readTrustRoot(),
        mqttUrl: options.endpoints.mqttUrl(),
        apiUrl: options.endpoints.apiUrl(),
      };
    },
    admit: async (tx, row, { certificate, actor, from }) => {
      const owner = await requireOwner(tx, row);
      const issued = {
        certificateSerial: certificate.serial,
        certificateFingerprint: certificate.fingerprint,
        certificateNotAfterMs: certificate.notAfterMs,
        pendingCertificate: null,
        enrolledKey: row.csrFingerprint,
      } as const;
      const change = {
        state: "approved",
        decidedAtMs: clock.nowMs(),
        certificate: certificate.certificatePem,
      } as const;
      await tx.enrolments.update(row.enrolmentId, change);
      if (row.endorsement !== null) await bindEndorsement(tx, { fingerprint: row.endorsement, device: row.device });
      const facts = toKeyFacts(row, owner.kind === "renewal" ? owner.existing : undefined);
      // As with every renewal, the first use ends the one before: the answer may be lost, and the device goes on with that.
      const isIssued = owner.kind === "renewal" && owner.existing.identityKey === null && facts.identityKey === null;
      if (owner.kind === "renewal") {
        // The same device: what it proved, its labels and a quarantine stay.
        const revision = owner.existing.revision + 1;
        const counts = isIssued
          ? { pendingCertificate: toPending(certificate), enrolledKey: row.csrFingerprint }
          : issued;
        await tx.devices.update(row.device, {
          ...counts,
          ...facts,
          // The files of its identity are new, and its software may be; what people configured is what it was.
          fileBaseline: reopenBaseline(owner.existing.fileBaseline, ["identity", "software"]),
          revision,
        });
        if (!isIssued) tx.afterCommit(() => options.onReplaced(row.device, certificate.fingerprint));
      } else {
        // Another device under an old name begins anew: none of what the old one proved counts.
        const revision = (owner.kind === "again" ? owner.existing.revision : 0) + 1;
        const { device, profile } = row;
        // A device that was let go from a quarantine stays in its fleet.
        const labels = { ...(owner.kind === "again" ? owner.labels : {}), ...row.labels };
        const identity = { device, tenant: options.tenant, labels, profile, lifecycle: "enrolled" } as const;
        const enrolledAtMs = clock.nowMs();
        // A device that was ended by force may remember the commands of before: theirs are not counted again.
        const commandGeneration = owner.kind === "again" ? owner.existing.commandGeneration : 0;
        const counted = { enrolledAtMs, revision, commandGeneration };
        const fresh: Device = { ...emptyDevice, ...issued, ...facts, ...identity, ...counted };
        if (owner.kind === "new") await tx.devices.add(fresh);
        else await tx.devices.update(device, fresh);
      }
      await noteCertificates(tx, row.device, clock.nowMs());
      const { assurance, endorsement } = facts;
      const { serial, fingerprint } = certificate;
      await audit.append(tx, {
        ...{ actor, from },
        action: isIssued
          ? "device.issue-certificate"
          : owner.kind === "renewal"
            ? "device.renew-certificate"
            : "device.enrol",
        subject: row.device,
        reason: owner.kind === "renewal" ? "enrolled again with the same key" : "certificate issued",
        change: {
          before: owner.kind === "new" ? null : toHeld(owner.existing),
          after: {
            lifecycle: owner.kind === "renewal" ? owner.existing.lifecycle : "enrolled",
            ...{ serial, fingerprint, assurance, endorsement },
          },
        },
        details: { enrolmentId: row.enrolmentId },
      });
      await options.onEnrolled(tx, row.device);
      await stream.emit(tx, "enrolment", row.enrolmentId);
      await stream.emit(tx, "device", row.device);
      for (const hooks of options.hooks()) await hooks.onDeviceChanged?.(tx, row.device);
      return { ...row, ...change, assurance };
    },
  };
}

const emptyDevice = {
  online: false,
  session: null,
  lastSeenMs: null,
  birth: null,
  birthAtMs: null,
  reported: null,
  reportedEpoch: null,
  reportedRevision: null,
  reportedAtMs: null,
  integrity: "unknown",
  integrityReason: "no evidence yet",
  integrityAtMs: null,
  chainIndex: null,
  chainHead: null,
  measurements: null,
  fileBaseline: null,
  clockSkewMs: null,
  epoch: null,
  deadLetters: 0,
  decommission: null,
  identityWatch: null,
  releasedAtMs: null,
} as const satisfies Partial<Device>;
