import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { CodedError, type Clock } from "@fairlead/kernel";
import { toSessionStatement, type HttpErrorCode, type SessionRequest } from "@fairlead/protocol";
import type { Device, Store } from "@fairlead/store";
import { issueDeviceCertificate, toCertificateRequest, type Authority } from "../authority/certificates.ts";
import type { AuditLog } from "../context.ts";
import { isAdmitted } from "./certificate-in-force.ts";
import type { Challenges } from "./challenges.ts";
import { noteCertificates } from "./issued-certificates.ts";

export interface SessionOptions {
  readonly tenant: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly authority: Authority;
  readonly challenges: Challenges<{ readonly device: string }>;
  /** How long a session's certificate is good. */
  readonly sessionHours: number;
}

/** Certificates for keys that live in a device's memory, each vouched for by the key in its TPM. */
export interface Sessions {
  /** Anybody may ask; only the device's TPM can answer. */
  challenge(device: string): { readonly challenge: string };
  /** @throws CodedError `session_refused` · `unauthenticated` (let go) · `endorsement_unknown` */
  issue(request: SessionRequest, fromAddress: string): Promise<{ readonly certificate: string }>;
}

function refuse(message: string): never {
  throw new CodedError<HttpErrorCode>("session_refused", message, {
    hint: "fairlead-agent doctor on the device says whether its TPM holds its key; else enrol it again",
  });
}

function parseKey(der: string): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(der, "base64"), format: "der", type: "spki" });
    if (key.asymmetricKeyDetails?.namedCurve === "prime256v1") return key;
  } catch {
    // What cannot be read is no key on P-256 either.
  }
  return refuse("the session's key is not an ECDSA key on P-256");
}

function isSignedBy(key: KeyObject, statement: string, signature: string): boolean {
  try {
    return verify("sha256", Buffer.from(statement, "utf8"), key, Buffer.from(signature, "base64"));
  } catch {
    return false;
  }
}

/** The device whose TPM made this request. In order: device, both signatures, and whether the device still counts. */
function check(tenant: string, request: SessionRequest, device: Device | undefined): KeyObject {
  const statement = toSessionStatement(tenant, request);
  const sessionKey = parseKey(request.publicKey);
  const identityKey = device?.identityKey ?? null;
  if (identityKey === null) return refuse("no enrolled device of this name has its key in a TPM");
  if (!isSignedBy(parseKey(identityKey), statement, request.identitySignature))
    return refuse("the request is not signed by the key in the device's TPM");
  if (!isSignedBy(sessionKey, statement, request.keySignature))
    return refuse("the request is not signed by the session's own key");
  // Told only to its own TPM: one that is about to leave learns from it that it was let go.
  if (!isAdmitted(device))
    throw new CodedError<HttpErrorCode>("unauthenticated", `the device ${request.device} was let go`, {
      hint: "enrol it again with a new key: fairlead-agent enrol --new-key",
    });
  return sessionKey;
}

export function createSessions(options: SessionOptions): Sessions {
  const { tenant, store, clock, audit, challenges } = options;
  return {
    challenge: (device) => ({ challenge: challenges.issue({ device }) }),
    issue: async (request, fromAddress) => {
      if (challenges.take(request.challenge)?.device !== request.device)
        return refuse("the challenge is not known, was answered already, or is too old");
      const device = await store.read.devices.get(request.device);
      const publicKey = check(tenant, request, device);
      const certificate = await issueDeviceCertificate(options.authority, {
        request: toCertificateRequest(publicKey),
        device: request.device,
        tenant,
        nowMs: clock.nowMs(),
        days: options.sessionHours / 24,
      });
      const { serial, fingerprint, notAfterMs } = certificate;
      await store.transaction(async (tx) => {
        const current = await tx.devices.get(request.device);
        if (!isAdmitted(current) || current.identityKey !== device?.identityKey)
          return refuse("the device was changed meanwhile");
        const { endorsement } = current;
        if (endorsement !== null && (await tx.endorsements.get(endorsement)) === undefined)
          throw new CodedError<HttpErrorCode>(
            "endorsement_unknown",
            `the endorsement key of the device ${request.device} is not allowed any more`,
            { hint: "allow it again: fairlead enrolments allow-ek" },
          );
        await tx.devices.update(request.device, { pendingCertificate: { serial, fingerprint, notAfterMs } });
        await noteCertificates(tx, request.device, clock.nowMs());
        await audit.append(tx, {
          ...{ actor: `device:${request.device}`, from: fromAddress },
          action: "device.issue-certificate",
          subject: request.device,
          reason: "the key in its TPM vouched for a session's key",
          change: { before: current.pendingCertificate, after: { serial, fingerprint, notAfterMs } },
        });
      });
      return { certificate: certificate.certificatePem };
    },
  };
}
