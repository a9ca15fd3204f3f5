import { randomBytes, timingSafeEqual, type X509Certificate } from "node:crypto";
import { CodedError, type Clock } from "@fairlead/kernel";
import {
  checkDeviceKey,
  checkEndorsementCertificate,
  makeCredential,
  parseTpmPublic,
  toKeyFingerprint,
  toPublicKey,
} from "@fairlead/integrity/tpm";
import type { CredentialChallenge, EndorsedEnrolRequest, EnrolResponse, HttpErrorCode } from "@fairlead/protocol";
import type { EndorsementRow, Store, Transaction } from "@fairlead/store";
import { toOwnDecision } from "../audit/own-decision.ts";
import { parseCertificateRequest, toKeyObject } from "../authority/certificates.ts";
import { toTokenHash } from "../authority/tokens.ts";
import type { AuditLog } from "../context.ts";
import type { Challenges } from "./challenges.ts";
import { requireUnbound } from "./endorsement-list.ts";
import type { Enrolments } from "./enrolment.ts";
import { decideLabels } from "./enrolment-labels.ts";

const secretBytes = 32;

/** A request whose sender has yet to show that its TPM is the one that it names. */
export interface PendingActivation {
  readonly secret: Buffer;
  readonly request: EndorsedEnrolRequest;
  readonly fingerprint: string;
  readonly csrFingerprint: string;
  /** SubjectPublicKeyInfo (DER, base64) of the key in the TPM. */
  readonly identityKey: string;
  /** What to note once it is proved; null: the operator allowed the key before. */
  readonly admittedByMaker: EndorsementRow | null;
}

export interface EndorsedEnrolmentOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly challenges: Challenges<PendingActivation>;
  readonly enrolments: Pick<Enrolments, "ask">;
  /** Certificates of TPM makers that the operator trusts; none: only keys of the list enrol. */
  readonly makers: readonly X509Certificate[];
}

export interface EndorsedEnrolments {
  /** @throws CodedError `endorsement_unknown` · `attestation_refused` · `tpm_malformed` · `csr_invalid` · `device_exists` */
  begin(request: EndorsedEnrolRequest): Promise<CredentialChallenge>;
  /** @throws CodedError `activation_refused`, and what `begin` throws */
  activate(challengeId: string, secret: string, fromAddress: string): Promise<EnrolResponse>;
}

/** TPM's endorsement key → credential that only this TPM opens → request, as if with a token that fits this TPM alone. */
export function createEndorsedEnrolments(options: EndorsedEnrolmentOptions): EndorsedEnrolments {
  const { audit, store, clock, challenges, enrolments, makers } = options;

  const findMaker = (request: EndorsedEnrolRequest, fingerprint: string): EndorsementRow | null => {
    const certificate = request.endorsementCertificate;
    if (certificate === null || makers.length === 0) return null;
    const endorsement = toPublicKey(parseTpmPublic(Buffer.from(request.endorsementKey, "base64")).key);
    checkEndorsementCertificate(
      { certificate: Buffer.from(certificate, "base64"), endorsement },
      makers,
      clock.nowMs(),
    );
    return {
      ...{ fingerprint, labels: {}, profile: null, device: null },
      // A maker says that the TPM is genuine, not that it is ours: an operator decides.
      autoApprove: false,
      description: "admitted by its maker's certificate",
      source: "certificate",
      createdAtMs: clock.nowMs(),
      createdBy: "plane",
    };
  };

  const noteMaker = async (tx: Transaction, row: EndorsementRow, fromAddress: string): Promise<void> => {
    await tx.endorsements.add(row);
    const { fingerprint, autoApprove, description, source } = row;
    await audit.append(tx, {
      ...{ ...toOwnDecision("enrolment"), from: fromAddress, action: "endorsement.allow", subject: fingerprint },
      ...{ reason: description, change: { before: null, after: { autoApprove, source } } },
    });
  };

  return {
    begin: async (request) => {
      const { device } = request;
      const endorsement = parseTpmPublic(Buffer.from(request.endorsementKey, "base64"));
      const fingerprint = toKeyFingerprint(toPublicKey(endorsement.key));
      const allowed = await store.read.endorsements.get(fingerprint);
      const admittedByMaker = allowed === undefined ? findMaker(request, fingerprint) : null;
      if (admittedByMaker === null) await requireUnbound(store.read, { fingerprint, device });
      const csr = await parseCertificateRequest(request.csr);
      const key = toKeyObject(csr.publicKey);
      const { name } = checkDeviceKey(Buffer.from(request.publicArea, "base64"), key);
      const secret = randomBytes(secretBytes);
      const credential = makeCredential({ endorsement, name, secret, random: randomBytes });
      const challengeId = challenges.issue({
        ...{ secret, request, fingerprint, admittedByMaker },
        csrFingerprint: csr.keyFingerprint,
        identityKey: key.export({ type: "spki", format: "der" }).toString("base64"),
      });
      return {
        challengeId,
        credentialBlob: credential.credentialBlob.toString("base64"),
        encryptedSecret: credential.encryptedSecret.toString("base64"),
      };
    },

    activate: async (challengeId, answer, fromAddress) => {
      const pending = challenges.take(challengeId);
      const secret = Buffer.from(answer, "base64");
      const isRight = pending !== undefined && secret.length === secretBytes && timingSafeEqual(secret, pending.secret);
      if (!isRight)
        throw new CodedError<HttpErrorCode>(
          "activation_refused",
          pending === undefined
            ? "the challenge is not known, was answered already, or is too old"
            : `the TPM with the endorsement key ${pending.fingerprint} did not open the credential`,
          { hint: "enrol again; the key has to be in the TPM whose endorsement key is named" },
        );
      const { request, fingerprint, admittedByMaker, csrFingerprint, identityKey } = pending;
      const { device, csr, profile, labels } = request;
      const entry = admittedByMaker ?? (await requireUnbound(store.read, { fingerprint, device }));
      return await enrolments.ask({
        ...{ device, csr, csrFingerprint, identityKey, fromAddress },
        profile: entry.profile ?? profile,
        labels: decideLabels({ own: labels, given: entry.labels, autoApprove: entry.autoApprove }),
        assurance: "tpm-endorsed",
        endorsement: fingerprint,
        grant: `ek-${fingerprint.slice(0, 16)}`,
        secretHash: toTokenHash(answer),
        autoApprove: entry.autoApprove,
        grantedAtMs: entry.createdAtMs,
        take: async (tx) => {
          if (admittedByMaker !== null && (await tx.endorsements.get(fingerprint)) === undefined)
            await noteMaker(tx, admittedByMaker, fromAddress);
          await requireUnbound(tx, { fingerprint, device });
        },
      });
    },
  };
}
