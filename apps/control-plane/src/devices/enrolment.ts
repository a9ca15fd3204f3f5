import { CodedError, type Clock } from "@fairlead/kernel";
import { checkDeviceKey } from "@fairlead/integrity/tpm";
import type {
  Assurance,
  CreateTokenRequest,
  CreateTokenResponse,
  EnrolRequest,
  EnrolResponse,
  HttpErrorCode,
} from "@fairlead/protocol";
import type { Device, EnrolmentRow, Repositories, Store, Transaction } from "@fairlead/store";
import { parseCertificateRequest, toCertificateFingerprint, toKeyObject } from "../authority/certificates.ts";
import { isInScope, parseScope, toScopeText, type Scope } from "../authority/scope.ts";
import { createScopeView } from "../authority/scope-view.ts";
import { createToken, isSameHash, isTokenShaped, toTokenHash } from "../authority/tokens.ts";
import type { Asker, AuditLog, AuditRecord, StreamFeed } from "../context.ts";
import type { Admission } from "./admission.ts";
import { isCertificateInForce, isCertificatePending } from "./certificate-in-force.ts";
import { decideLabels } from "./enrolment-labels.ts";

export interface EnrolmentOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly createId: (prefix: string) => string;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly authorityFingerprint: string;
  readonly admission: Admission;
}

/** What a device asks for and by what right, after its proofs were checked. */
export interface Asked {
  readonly device: string;
  readonly csr: string;
  readonly csrFingerprint: string;
  readonly profile: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly fromAddress: string;
  readonly assurance: Assurance;
  readonly identityKey: string | null;
  readonly endorsement: string | null;
  /** What admits it: a token's id, or `ek-` and the beginning of a fingerprint. */
  readonly grant: string;
  /** Hash of the secret with which the device may poll. */
  readonly secretHash: string;
  readonly autoApprove: boolean;
  /** When the right was given. One that is older than the end of the name's device admits nobody by itself. */
  readonly grantedAtMs: number;
  /** Takes what may be taken only so often. Runs in the transaction that admits; throws when it is not there to take. */
  readonly take: (tx: Transaction) => Promise<void>;
}

/** Who decides, and about which part of the fleet. */
export interface Decider extends Asker {
  readonly scope: Scope;
}

export interface Enrolments {
  createToken(request: CreateTokenRequest, by: Decider): Promise<CreateTokenResponse>;
  enrol(request: EnrolRequest, fromAddress: string): Promise<EnrolResponse>;
  ask(asked: Asked): Promise<EnrolResponse>;
  poll(enrolmentId: string, secret: string): Promise<EnrolResponse>;
  approve(enrolmentId: string, by: Decider): Promise<EnrolmentRow>;
  deny(enrolmentId: string, reason: string, by: Decider): Promise<EnrolmentRow>;
}

function refuse(code: HttpErrorCode, message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>(code, message, { hint });
}
const refuseToken = () =>
  refuse("token_invalid", "the enrolment token is not valid here", "ask the operator for a token of this plane");

function isSameWaiting(earlier: EnrolmentRow, row: EnrolmentRow): boolean {
  const { state, endorsement, csrFingerprint } = earlier;
  return state === "pending" && endorsement === row.endorsement && csrFingerprint === row.csrFingerprint;
}

/** What of a request the audit log tells; its secret and its key are not there. */
function toAsked({ state, profile, labels, csrFingerprint, assurance, endorsement, fromAddress }: EnrolmentRow) {
  return { state, profile, labels, csrFingerprint, assurance, endorsement, fromAddress };
}

/** Since when the name's old identity counts no more; null while it counts. */
function toOverSinceMs(existing: Device | undefined): number | null {
  if (existing?.lifecycle === "decommissioned") return existing.decommission?.endedAtMs ?? 0;
  return existing?.lifecycle === "pending" ? existing.releasedAtMs : null;
}

const newTokenHint = "the name needs a new token: fairlead enrolments create-token";
const newKeyHint = "enrol with a new key: fairlead-agent enrol --new-key";

/**
 * The name of a device that was decommissioned, or let go from a quarantine for being used twice, is given again, to a
 * key that never had it and by a right that was given since: neither a token that was left over nor a key that lies
 * somewhere brings the old device back. A TPM that was allowed before may ask, since it is one machine; an operator decides.
 */
function requireFresh(row: EnrolmentRow, isOldRight: boolean, earlier: readonly EnrolmentRow[]): void {
  const { device, endorsement, csrFingerprint } = row;
  if (isOldRight && endorsement === null)
    refuse("token_spent", `the token is older than the end of ${device}`, newTokenHint);
  if (earlier.some((one) => one.state === "approved" && one.csrFingerprint === csrFingerprint))
    refuse("key_retired", `the key was ${device}'s before and does not count any more`, newKeyHint);
}

/**
 * Does the answer of then still hold? Not with a certificate that is over, or that another has followed: whoever showed
 * that one would be taken for a copy of the device. A TPM's device only has its name from it; its sessions have their own.
 */
function isStillTrue({ certificate }: EnrolmentRow, current: Device | undefined, nowMs: number): boolean {
  if (certificate === null || current === undefined) return true;
  if (current.identityKey !== null) return (current.certificateNotAfterMs ?? Infinity) > nowMs;
  const fingerprint = toCertificateFingerprint(certificate);
  return isCertificateInForce(current, fingerprint, nowMs) || isCertificatePending(current, fingerprint, nowMs);
}

/** Right → request → (approval) → certificate. A request repeated with the same key gets the same answer while it holds. */
export function createEnrolments(options: EnrolmentOptions): Enrolments {
  const { admission, audit, clock, store, stream } = options;

  const requirePending = async (tx: Repositories, enrolmentId: string, scope: Scope): Promise<EnrolmentRow> => {
    const row = await tx.enrolments.get(enrolmentId);
    if (row === undefined || !(await createScopeView(tx, scope).hasEnrolment(row)))
      return refuse("not_found", `no enrolment ${enrolmentId}`, "list them with GET /api/v1/enrolments");
    if (row.state !== "pending")
      return refuse("conflict", `the enrolment is ${row.state} already`, "nothing is left to decide");
    return row;
  };

  const noteRequest = (
    tx: Transaction,
    { device, enrolmentId }: EnrolmentRow,
    asked: { readonly grant: string; readonly from: string; readonly change: AuditRecord["change"] },
  ): Promise<void> =>
    audit.append(tx, {
      ...{ actor: `plane:${asked.grant}`, from: asked.from, action: "enrolment.request", subject: device },
      ...{ reason: "waits for an operator", change: asked.change, details: { enrolmentId } },
    });

  const ask: Enrolments["ask"] = async ({ grant, secretHash, autoApprove, grantedAtMs, take, ...asked }) => {
    if (Object.keys(asked.labels).length > 64)
      return refuse("validation_failed", "more than 64 labels", "send fewer labels");
    const row: EnrolmentRow = {
      ...asked,
      enrolmentId: options.createId("enr"),
      tokenId: grant,
      tokenHash: secretHash,
      state: "pending",
      fromAddress: asked.fromAddress.slice(0, 64),
      requestedAtMs: clock.nowMs(),
      decidedAtMs: null,
      reason: null,
      certificate: null,
    };
    const prepared = autoApprove ? await admission.issueFor(row) : undefined;
    return await store.transaction(async (tx) => {
      const earlier = await tx.enrolments.listOfDevice(row.device);
      const current = await tx.devices.get(row.device);
      const same = earlier.find(
        (one) =>
          one.tokenHash === secretHash &&
          one.csrFingerprint === row.csrFingerprint &&
          isStillTrue(one, current, clock.nowMs()),
      );
      const overSinceMs = toOverSinceMs(current);
      const isOldRight = overSinceMs !== null && grantedAtMs <= overSinceMs;
      if (overSinceMs !== null) requireFresh(row, isOldRight, earlier);
      const certificate = isOldRight ? undefined : prepared;
      if (same !== undefined && current?.lifecycle !== "decommissioned") return admission.toAnswer(same);
      await admission.requireOwner(tx, row);
      await take(tx);
      const waiting = row.endorsement === null ? undefined : earlier.find((one) => isSameWaiting(one, row));
      if (waiting !== undefined && certificate === undefined) {
        // The same TPM with the same key, which opened another credential: it goes on waiting with the new secret.
        await tx.enrolments.update(waiting.enrolmentId, { tokenHash: secretHash });
        const change = { before: toAsked(waiting), after: toAsked({ ...waiting, fromAddress: row.fromAddress }) };
        await noteRequest(tx, waiting, { grant, change, from: row.fromAddress });
        return admission.toAnswer(waiting);
      }
      await tx.enrolments.add(row);
      const by = { actor: `plane:${grant}`, from: row.fromAddress };
      if (certificate !== undefined) return admission.toAnswer(await admission.admit(tx, row, { certificate, ...by }));
      await noteRequest(tx, row, { grant, change: { before: null, after: toAsked(row) }, from: row.fromAddress });
      await stream.emit(tx, "enrolment", row.enrolmentId);
      return admission.toAnswer(row);
    });
  };

  return {
    ask,
    createToken: async (request, { actor, from, scope }) => {
      if (!isInScope(scope, request.labels))
        return refuse(
          "forbidden",
          "devices with these labels would lie outside the part of the fleet that your token reaches",
          `add labels that match "${toScopeText(scope) ?? ""}"`,
        );
      const token = createToken("fle", options.authorityFingerprint);
      const tokenId = options.createId("tok");
      const expiresAtMs = clock.nowMs() + request.ttlMs;
      const { description, labels, profile, uses, autoApprove } = request;
      await store.transaction(async (tx) => {
        const row = { tokenId, hash: toTokenHash(token), description, labels, profile, usesLeft: uses, autoApprove };
        const selector = toScopeText(scope);
        await tx.enrolmentTokens.add({ ...row, createdAtMs: clock.nowMs(), expiresAtMs, selector });
        await audit.append(tx, {
          ...{ actor, from, action: "enrolment-token.create", subject: tokenId, reason: description },
          change: { before: null, after: { uses, autoApprove, expiresAtMs, labels, profile, selector } },
        });
      });
      return { tokenId, token, expiresAtMs };
    },

    enrol: async ({ device, token, csr, profile, labels, publicArea }, fromAddress) => {
      const secretHash = toTokenHash(token);
      const known = isTokenShaped(token) ? await store.read.enrolmentTokens.findByHash(secretHash) : undefined;
      if (known === undefined) return refuseToken();
      const request = await parseCertificateRequest(csr);
      const key = toKeyObject(request.publicKey);
      // Nobody vouches for this TPM, so the level says no more than that the device says it has one.
      if (publicArea !== null) checkDeviceKey(Buffer.from(publicArea, "base64"), key);
      const allLabels = decideLabels({ own: labels, given: known.labels, autoApprove: known.autoApprove });
      if (!isInScope(parseScope(known.selector), allLabels))
        return refuse("enrolment_denied", "the token is not for devices with these labels", "send other labels");
      if (known.profile !== null && known.profile !== profile)
        return refuse(
          "profile_mismatch",
          `the token is for boards of the kind ${known.profile}, and this device says that it is ${profile}`,
          "ask the operator for a token of this kind, or set `profile` in the device's config.yaml when it was detected wrongly",
        );
      return await ask({
        ...{ device, csr, profile, fromAddress, secretHash },
        csrFingerprint: request.keyFingerprint,
        labels: allLabels,
        assurance: publicArea === null ? "software" : "tpm",
        identityKey: publicArea === null ? null : key.export({ type: "spki", format: "der" }).toString("base64"),
        endorsement: null,
        grant: `token-${known.tokenId}`,
        autoApprove: known.autoApprove,
        grantedAtMs: known.createdAtMs,
        take: async (tx) => {
          if (await tx.enrolmentTokens.takeUse(known.tokenId, clock.nowMs())) return;
          refuse("token_spent", "the enrolment token is used up or has expired", "ask the operator for a new one");
        },
      });
    },

    poll: async (enrolmentId, secret) => {
      const row = await store.read.enrolments.get(enrolmentId);
      return row === undefined || !isSameHash(row.tokenHash, toTokenHash(secret))
        ? refuseToken()
        : admission.toAnswer(row);
    },

    approve: async (enrolmentId, { actor, from, scope }) => {
      const certificate = await admission.issueFor(await requirePending(store.read, enrolmentId, scope));
      return await store.transaction(async (tx) => {
        const row = await requirePending(tx, enrolmentId, scope);
        // The name's device may have ended while the request waited.
        const overSinceMs = toOverSinceMs(await tx.devices.get(row.device));
        if (overSinceMs !== null)
          requireFresh(row, row.requestedAtMs <= overSinceMs, await tx.enrolments.listOfDevice(row.device));
        return await admission.admit(tx, row, { certificate, actor, from });
      });
    },

    deny: async (enrolmentId, reason, { actor, from, scope }) =>
      await store.transaction(async (tx) => {
        const row = await requirePending(tx, enrolmentId, scope);
        const change = { state: "denied", reason, decidedAtMs: clock.nowMs() } as const;
        await tx.enrolments.update(enrolmentId, change);
        await audit.append(tx, {
          ...{ actor, from, action: "device.deny", subject: row.device, reason, details: { enrolmentId } },
          change: { before: { state: row.state }, after: { state: change.state } },
        });
        await stream.emit(tx, "enrolment", enrolmentId);
        return { ...row, ...change };
      }),
  };
}
