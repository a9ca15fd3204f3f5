import { toErrorMessage } from "@fairlead/kernel";
import {
  signedCommandSchema,
  signedDesiredStateSchema,
  signedReleaseSchema,
  type Command,
  type DesiredState,
  type Release,
} from "@fairlead/protocol";
import { requireAudience, type DeviceClass } from "./audience.ts";
import { toDocumentDigest } from "./digest.ts";
import { openEnvelope } from "./envelope.ts";
import { Refusal, refuse, type VerifyErrorCode } from "./refusal.ts";
import type { TrustRoots } from "./trust-roots.ts";

/** A verified document with the digest of its signed part, or why it must not be used. */
export type Verification<Document> =
  | { readonly kind: "verified"; readonly document: Document; readonly digest: string }
  | { readonly kind: "refused"; readonly code: VerifyErrorCode; readonly reason: string };

/**
 * `nowMs` is the caller's best floor of the true time: the greatest of its own clock, the newest `issuedAtMs` that it
 * ever verified and the plane's time on the host topic; never a clock that is known to be unset. A device clock may be
 * wrong by a day, so both ends of a document's life are widened by `maxSkewMs`.
 */
export interface VerifyTime {
  readonly nowMs: number;
  readonly maxSkewMs: number;
}
export interface VerifyReleaseOptions extends VerifyTime {
  readonly tenant: string;
  readonly self: DeviceClass;
}
export interface VerifyCommandOptions extends VerifyTime {
  readonly roots: TrustRoots;
  readonly tenant: string;
  readonly device: string;
  /** The key with which this device enrolled: `sha256:` of its DER SubjectPublicKeyInfo. */
  readonly enrolledKey: string;
}
export interface VerifyDesiredStateOptions extends VerifyCommandOptions, VerifyReleaseOptions {
  /** Generation and digest of the newest desired state that was accepted; null on a new device. */
  readonly applied: { readonly generation: number; readonly digest: string } | null;
  /**
   * Does the device follow this release in this slot already? Then its time is over for nobody: what runs keeps running, and a
   * release of another slot can still be asked for. Absent: it follows none.
   */
  readonly isFollowed?: (release: Release, slot: string) => boolean;
}

/** From when to when a release may be taken. A device whose clock lags still waits: only the end is widened. */
function requireReleaseInTime(release: Release, time: VerifyTime): void {
  const { issuedAtMs: fromMs, expiresAtMs: untilMs, notBeforeMs } = release;
  requireInTime({ fromMs, untilMs }, time);
  if (notBeforeMs !== undefined && !(notBeforeMs <= time.nowMs))
    refuse("not_yet_valid", `to be taken from ${notBeforeMs}, the time is ${time.nowMs}`);
}

/** Null while the release may be taken; for whoever asks again later, or before anything was sent. */
export function judgeReleaseTime(
  release: Release,
  time: VerifyTime,
): { readonly code: VerifyErrorCode; readonly reason: string } | null {
  try {
    requireReleaseInTime(release, time);
    return null;
  } catch (error) {
    if (error instanceof Refusal) return { code: error.code, reason: error.message };
    throw error;
  }
}

/**
 * Is this model version for this device, now? The checks, in order. Whether its publisher may release it is a question to
 * the metadata of The Update Framework, and nothing is installed before that is answered too.
 */
export function verifyRelease(document: unknown, options: VerifyReleaseOptions): Verification<Release> {
  return toVerification(() => {
    const parsed = signedReleaseSchema.safeParse(document);
    if (!parsed.success) return refuse("envelope_malformed", parsed.error.message);
    const release = parsed.data.signed;
    requireTenant(release, options.tenant);
    requireReleaseInTime(release, options);
    requireAudience(release.audience ?? {}, options.self);
    return release;
  });
}

/** Is this what this device should run now? The checks, in order. */
export function verifyDesiredState(envelope: unknown, options: VerifyDesiredStateOptions): Verification<DesiredState> {
  return toVerification(() => {
    const { roots } = options;
    const state = openEnvelope(envelope, { type: "desired-state", schema: signedDesiredStateSchema, roots });
    requireTenant(state, options.tenant);
    requireDevice(state, options.device);
    requireEnrolment(state, options.enrolledKey);
    requireInTime({ fromMs: state.issuedAtMs, untilMs: state.expiresAtMs }, options);
    requireNewer(state, options.applied);
    requireOneEntryPerSlot(state);
    requireEveryRelease(state, options);
    return state;
  });
}

/** May this device carry out this command now? The checks, in order. Whether it came before is the caller's to know. */
export function verifyCommand(envelope: unknown, options: VerifyCommandOptions): Verification<Command> {
  return toVerification(() => {
    const { roots } = options;
    const command = openEnvelope(envelope, { type: "command", schema: signedCommandSchema, roots });
    requireTenant(command, options.tenant);
    requireDevice(command, options.device);
    requireEnrolment(command, options.enrolledKey);
    requireInTime({ fromMs: command.issuedAtMs, untilMs: command.deadlineAtMs }, options);
    return command;
  });
}

function requireTenant(document: { readonly tenant: string }, tenant: string): void {
  if (document.tenant !== tenant) refuse("foreign_tenant", `the document is for tenant ${document.tenant}`);
}

function requireDevice(document: { readonly device: string }, device: string): void {
  if (document.device !== device) refuse("foreign_device", `the document is for device ${document.device}`);
}

function requireEnrolment(document: { readonly enrolledKey: string }, enrolledKey: string): void {
  if (document.enrolledKey !== enrolledKey)
    refuse("foreign_enrolment", `the document is for who enrolled with the key ${document.enrolledKey}`);
}

function requireInTime(life: { readonly fromMs: number; readonly untilMs: number }, time: VerifyTime): void {
  // Written so that NaN refuses.
  if (!(life.fromMs <= time.nowMs + time.maxSkewMs)) {
    refuse("not_yet_valid", `issued at ${life.fromMs}, the time is ${time.nowMs}`);
  }
  if (!(time.nowMs - time.maxSkewMs < life.untilMs)) {
    refuse("expired", `ended at ${life.untilMs}, the time is ${time.nowMs}`);
  }
}

/** A time at which the release may be taken. */
const toTimeOf = ({ issuedAtMs, notBeforeMs = issuedAtMs }: Release): number => Math.max(issuedAtMs, notBeforeMs);

function requireNewer(state: DesiredState, applied: VerifyDesiredStateOptions["applied"]): void {
  if (applied === null || state.generation > applied.generation) return;
  if (state.generation === applied.generation && toDocumentDigest(state) === applied.digest) {
    refuse("already_applied", `generation ${state.generation} is the one in force`);
  }
  refuse("stale_generation", `generation ${state.generation} does not follow ${applied.generation}`);
}

function requireOneEntryPerSlot(state: DesiredState): void {
  const slots = new Set(state.slots.map((entry) => entry.slot));
  if (slots.size !== state.slots.length) refuse("envelope_malformed", "a slot is named twice");
}

function requireEveryRelease(state: DesiredState, options: VerifyDesiredStateOptions): void {
  for (const { slot, release, shadow } of state.slots) {
    for (const named of [release, shadow?.release ?? null]) {
      if (named === null) continue;
      const isFollowed = options.isFollowed?.(named.signed, slot) === true;
      const nowMs = isFollowed ? toTimeOf(named.signed) : options.nowMs;
      const verification = verifyRelease(named, { ...options, nowMs });
      if (verification.kind === "refused") {
        refuse("release_invalid", `slot ${slot}: ${verification.code}: ${verification.reason}`);
      }
    }
  }
}

function toVerification<Document>(check: () => Document): Verification<Document> {
  try {
    const document = check();
    return { kind: "verified", document, digest: toDocumentDigest(document) };
  } catch (error) {
    if (error instanceof Refusal) return { kind: "refused", code: error.code, reason: error.message };
    // Anything unforeseen refuses too: a check that could not be made has not been passed.
    return { kind: "refused", code: "envelope_malformed", reason: toErrorMessage(error).slice(0, 300) };
  }
}
