import { CodedError, type Clock } from "@fairlead/kernel";
import {
  type CreateTokenRequest,
  type CreateTokenResponse,
  type EnrolRequest,
  type EnrolResponse,
  type HttpErrorCode,
  type Labels,
} from "@fairlead/protocol";
import type { Device, EnrolmentRow, EnrolmentToken, Repositories, Store, Transaction } from "@fairlead/store";
import { issueDeviceCertificate, parseCertificateRequest, type DeviceCertificate } from "../authority/certificates.ts";
import type { OpenAuthority } from "../authority/open-authority.ts";
import { isInScope, parseScope, toScopeText, type Scope } from "../authority/scope.ts";
import { createScopeView } from "../authority/scope-view.ts";
import { createToken, isSameHash, isTokenShaped, toTokenHash } from "../authority/tokens.ts";
import type { Endpoints } from "../broker/endpoints.ts";
import type { AuditLog, DeviceHooks, StreamFeed } from "../context.ts";

const pollAfterMs = 2_000;

export interface EnrolmentOptions {
  readonly tenant: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly createId: (prefix: string) => string;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly authority: OpenAuthority;
  readonly endpoints: Endpoints;
  readonly certificateDays: number;
  /** The newest root document of the trust repository; null before there is one. */
  readonly readTrustRoot: () => Promise<string | null>;
  readonly hooks: () => readonly DeviceHooks[];
}

interface Decision {
  readonly certificate: DeviceCertificate;
  readonly actor: string;
}

/** Who decides, and about which part of the fleet. */
export interface Decider {
  readonly actor: string;
  readonly scope: Scope;
}

type Owner =
  | { readonly kind: "new" }
  | { readonly kind: "again"; readonly revision: number; readonly labels: Labels }
  | { readonly kind: "renewal"; readonly existing: Device };

export interface Enrolments {
  createToken(request: CreateTokenRequest, by: Decider): Promise<CreateTokenResponse>;
  enrol(request: EnrolRequest, fromAddress: string): Promise<EnrolResponse>;
  poll(enrolmentId: string, token: string): Promise<EnrolResponse>;
  approve(enrolmentId: string, by: Decider): Promise<EnrolmentRow>;
  deny(enrolmentId: string, reason: string, by: Decider): Promise<EnrolmentRow>;
}

function refuse(code: HttpErrorCode, message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>(code, message, { hint });
}
const refuseToken = () =>
  refuse("token_invalid", "the enrolment token is not valid here", "ask the operator for a token of this plane");

interface Asking {
  readonly token: EnrolmentToken;
  readonly csrFingerprint: string;
  readonly earlier: readonly EnrolmentRow[];
}

/** Since when the name's old identity counts no more; null while it counts. */
function toOverSinceMs(existing: Device | undefined): number | null {
  if (existing?.lifecycle === "decommissioned") return existing.decommission?.endedAtMs ?? 0;
  return existing?.lifecycle === "pending" ? existing.releasedAtMs : null;
}

/**
 * The name of a device that was decommissioned, or let go from a quarantine for being used twice, is given again, to a key that never had it and on a token that was made
 * since: neither a token that was left over nor a key that lies somewhere brings the old device back.
 */
function requireFresh(existing: Device | undefined, { token, csrFingerprint, earlier }: Asking): void {
  const sinceMs = toOverSinceMs(existing);
  if (existing === undefined || sinceMs === null) return;
  if (token.createdAtMs <= sinceMs)
    return refuse(
      "token_spent",
      `the token is older than the end of ${existing.device}`,
      "the name needs a new token: fairlead enrolments create-token",
    );
  if (earlier.some((one) => one.state === "approved" && one.csrFingerprint === csrFingerprint))
    return refuse("key_retired", `the key was ${existing.device}'s before and does not count any more`, newKeyHint);
}
const newKeyHint = "enrol with a new key: fairlead-agent enrol --new-key";

/** Token → request → (approval) → certificate. A request repeated with the same key gets the same answer. */
export function createEnrolments(options: EnrolmentOptions): Enrolments {
  const { audit, authority, clock, store, stream } = options;

  const toAnswer = async (row: EnrolmentRow): Promise<EnrolResponse> => {
    const { enrolmentId, device } = row;
    if (row.state === "denied") return { state: "denied", enrolmentId, reason: row.reason ?? "denied by an operator" };
    if (row.state === "pending" || row.certificate === null) return { state: "pending", enrolmentId, pollAfterMs };
    return {
      state: "approved",
      enrolmentId,
      tenant: options.tenant,
      device,
      certificate: row.certificate,
      ca: authority.authority.certificatePem,
      signingKeys: [...authority.signingKeys],
      trustRoot: await options.readTrustRoot(),
      mqttUrl: options.endpoints.mqttUrl(),
      apiUrl: options.endpoints.apiUrl(),
    };
  };

  const issueFor = async (row: Pick<EnrolmentRow, "csr" | "device">): Promise<DeviceCertificate> =>
    await issueDeviceCertificate(authority.authority, {
      request: await parseCertificateRequest(row.csr),
      device: row.device,
      tenant: options.tenant,
      nowMs: clock.nowMs(),
      days: options.certificateDays,
    });

  /** Who asks under this name. A name that is taken is given only to the key that has it, which is the same device. */
  const requireOwner = async (tx: Transaction, { device, csrFingerprint }: EnrolmentRow): Promise<Owner> => {
    const existing = await tx.devices.get(device);
    if (existing === undefined) return { kind: "new" };
    if (existing.lifecycle === "decommissioned") return { kind: "again", revision: existing.revision, labels: {} };
    if (existing.lifecycle === "pending")
      return { kind: "again", revision: existing.revision, labels: existing.labels };
    const approved = (await tx.enrolments.listOfDevice(device)).filter(({ state }) => state === "approved");
    const present = approved.toSorted((left, right) => (right.decidedAtMs ?? 0) - (left.decidedAtMs ?? 0))[0];
    const known = existing.lifecycle === "enrolled" || existing.lifecycle === "quarantined";
    if (known && present?.csrFingerprint === csrFingerprint) return { kind: "renewal", existing };
    return refuse(
      "device_exists",
      `the device ${device} is enrolled already, with another key`,
      "choose another name, or decommission the old device first",
    );
  };

  const admit = async (tx: Transaction, row: EnrolmentRow, decision: Decision) => {
    const { certificate, actor } = decision;
    const owner = await requireOwner(tx, row);
    const issued = {
      certificateSerial: certificate.serial,
      certificateFingerprint: certificate.fingerprint,
      certificateNotAfterMs: certificate.notAfterMs,
      pendingCertificate: null,
    } as const;
    const change = { state: "approved", decidedAtMs: clock.nowMs(), certificate: certificate.certificatePem } as const;
    await tx.enrolments.update(row.enrolmentId, change);
    if (owner.kind === "renewal") {
      // Same key, same device: what it proved, its labels and a quarantine stay. The files of its identity are new.
      await tx.devices.update(row.device, { ...issued, fileBaseline: null, revision: owner.existing.revision + 1 });
    } else {
      // Another device under an old name begins anew: none of what the old one proved counts.
      const revision = (owner.kind === "again" ? owner.revision : 0) + 1;
      const { device, profile } = row;
      // A device that was let go from a quarantine stays in its fleet.
      const labels = { ...(owner.kind === "again" ? owner.labels : {}), ...row.labels };
      const identity = { device, tenant: options.tenant, labels, profile, lifecycle: "enrolled" } as const;
      const fresh: Device = { ...emptyDevice, ...issued, ...identity, enrolledAtMs: clock.nowMs(), revision };
      if (owner.kind === "new") await tx.devices.add(fresh);
      else await tx.devices.update(device, fresh);
    }
    await audit.append(tx, {
      actor,
      action: owner.kind === "renewal" ? "device.renew-certificate" : "device.enrol",
      subject: row.device,
      reason: owner.kind === "renewal" ? "enrolled again with the same key" : "certificate issued",
      details: { enrolmentId: row.enrolmentId, serial: certificate.serial, fingerprint: certificate.fingerprint },
    });
    await stream.emit(tx, "enrolment", row.enrolmentId);
    await stream.emit(tx, "device", row.device);
    for (const hooks of options.hooks()) await hooks.onDeviceChanged?.(tx, row.device);
    return { ...row, ...change };
  };

  const requirePending = async (tx: Repositories, enrolmentId: string, scope: Scope): Promise<EnrolmentRow> => {
    const row = await tx.enrolments.get(enrolmentId);
    if (row === undefined || !(await createScopeView(tx, scope).hasEnrolment(row)))
      return refuse("not_found", `no enrolment ${enrolmentId}`, "list them with GET /api/v1/enrolments");
    if (row.state !== "pending")
      return refuse("conflict", `the enrolment is ${row.state} already`, "nothing is left to decide");
    return row;
  };

  return {
    createToken: async (request, { actor, scope }) => {
      if (!isInScope(scope, request.labels))
        return refuse(
          "forbidden",
          "devices with these labels would lie outside the part of the fleet that your token reaches",
          `add labels that match "${toScopeText(scope) ?? ""}"`,
        );
      const token = createToken("fle", authority.fingerprint);
      const tokenId = options.createId("tok");
      const expiresAtMs = clock.nowMs() + request.ttlMs;
      const { description, labels, uses, autoApprove } = request;
      await store.transaction(async (tx) => {
        const row = { tokenId, hash: toTokenHash(token), description, labels, usesLeft: uses, autoApprove };
        const selector = toScopeText(scope);
        await tx.enrolmentTokens.add({ ...row, createdAtMs: clock.nowMs(), expiresAtMs, selector });
        const details = { uses, autoApprove, expiresAtMs, labels, selector };
        await audit.append(tx, {
          actor,
          action: "enrolment-token.create",
          subject: tokenId,
          reason: description,
          details,
        });
      });
      return { tokenId, token, expiresAtMs };
    },

    enrol: async (request, fromAddress) => {
      const { device, token } = request;
      const tokenHash = toTokenHash(token);
      const known = isTokenShaped(token) ? await store.read.enrolmentTokens.findByHash(tokenHash) : undefined;
      if (known === undefined) return refuseToken();
      const csr = await parseCertificateRequest(request.csr);
      const labels = { ...request.labels, ...known.labels };
      if (Object.keys(labels).length > 64)
        return refuse("validation_failed", "more than 64 labels", "send fewer labels");
      if (!isInScope(parseScope(known.selector), labels))
        return refuse("enrolment_denied", "the token is not for devices with these labels", "send other labels");
      const row: EnrolmentRow = {
        enrolmentId: options.createId("enr"),
        tokenId: known.tokenId,
        tokenHash,
        device,
        state: "pending",
        profile: request.profile,
        labels,
        csr: request.csr,
        csrFingerprint: csr.keyFingerprint,
        fromAddress: fromAddress.slice(0, 64),
        requestedAtMs: clock.nowMs(),
        decidedAtMs: null,
        reason: null,
        certificate: null,
      };
      const certificate = known.autoApprove ? await issueFor(row) : undefined;
      return await store.transaction(async (tx) => {
        const earlier = await tx.enrolments.listOfDevice(device);
        const same = earlier.find((one) => one.tokenHash === tokenHash && one.csrFingerprint === csr.keyFingerprint);
        const current = await tx.devices.get(device);
        requireFresh(current, { token: known, csrFingerprint: csr.keyFingerprint, earlier });
        const over = (current?.certificateNotAfterMs ?? Infinity) <= clock.nowMs();
        if (same !== undefined && !over && current?.lifecycle !== "decommissioned") return toAnswer(same);
        await requireOwner(tx, row);
        if (!(await tx.enrolmentTokens.takeUse(known.tokenId, clock.nowMs()))) {
          return refuse(
            "token_spent",
            "the enrolment token is used up or has expired",
            "ask the operator for a new one",
          );
        }
        await tx.enrolments.add(row);
        if (certificate !== undefined)
          return toAnswer(await admit(tx, row, { certificate, actor: `plane:token-${known.tokenId}` }));
        await stream.emit(tx, "enrolment", row.enrolmentId);
        return toAnswer(row);
      });
    },

    poll: async (enrolmentId, token) => {
      const row = await store.read.enrolments.get(enrolmentId);
      return row === undefined || !isSameHash(row.tokenHash, toTokenHash(token)) ? refuseToken() : toAnswer(row);
    },

    approve: async (enrolmentId, { actor, scope }) => {
      const certificate = await issueFor(await requirePending(store.read, enrolmentId, scope));
      return await store.transaction(async (tx) =>
        admit(tx, await requirePending(tx, enrolmentId, scope), { certificate, actor }),
      );
    },

    deny: async (enrolmentId, reason, { actor, scope }) =>
      await store.transaction(async (tx) => {
        const row = await requirePending(tx, enrolmentId, scope);
        const change = { state: "denied", reason, decidedAtMs: clock.nowMs() } as const;
        await tx.enrolments.update(enrolmentId, change);
        await audit.append(tx, { actor, action: "device.deny", subject: row.device, reason, details: { enrolmentId } });
        await stream.emit(tx, "enrolment", enrolmentId);
        return { ...row, ...change };
      }),
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
