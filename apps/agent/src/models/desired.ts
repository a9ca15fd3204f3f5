import {
  judgeReleaseTime,
  listCandidates,
  toDocumentDigest,
  verifyDesiredState,
  type BuildCapabilities,
  type DeviceClass,
  type TrustRoots,
} from "@fairlead/artifacts";
import { toErrorMessage, type Logger } from "@fairlead/kernel";
import {
  digestSchema,
  limits,
  signedDesiredStateSchema,
  timestampMsSchema,
  type DesiredSlot,
  type DesiredState,
  type Release,
} from "@fairlead/protocol";
import * as z from "zod";
import type { TrustedTime } from "../link/trusted-time.ts";
import type { AdmissionVerdict } from "../trust/release-admission.ts";
import type { Wish } from "./plan.ts";
import type { Saved } from "./saved.ts";
import { toInstalledBuild } from "./slot-record.ts";

/** The signed document itself is kept, so that the wish is known and provable without a network. */
export const desiredRecordSchema = z.strictObject({
  v: z.literal(1),
  verifiedAtMs: timestampMsSchema,
  digest: digestSchema,
  document: signedDesiredStateSchema,
});

export interface DesiredOptions {
  readonly saved: Saved<z.infer<typeof desiredRecordSchema>>;
  readonly roots: TrustRoots;
  readonly tenant: string;
  readonly device: string;
  /** Which enrolment of that name this is. */
  readonly enrolledKey: string;
  readonly time: TrustedTime;
  readonly self: DeviceClass;
  /** Does a publisher who may do so vouch for these releases? */
  readonly admit: (releases: readonly Release[]) => Promise<AdmissionVerdict>;
  readonly logger: Logger;
  readonly onAccepted: (state: DesiredState) => void;
  readonly onRefused: (refusal: { readonly code: string; readonly reason: string }) => void;
}

/** A device whose clock is a day off still follows its plane. */
export const maxSkewMs = 26 * 3_600_000;

/** How soon a question that nobody answered is asked again. */
const askAgainMs = 5_000;

export interface Desired {
  readonly generation: number;
  readonly artifactUrls: readonly string[];
  /** The wish of before the restart, verified again. */
  restore(): void;
  receive(payload: Uint8Array): void;
  /** Why a release that is followed must not be fetched (any more): it may have ended while nobody could be reached. */
  judgeTime(releaseId: string): Refused | null;
}

export interface Refused {
  readonly code: string;
  readonly reason: string;
}

function parseJson(payload: Uint8Array): unknown {
  if (payload.byteLength > limits.mqttPayloadBytes) return undefined;
  try {
    return JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch {
    return undefined;
  }
}

interface Named {
  readonly slot: string;
  readonly release: Release;
}

function listReleases(state: DesiredState | null): Named[] {
  return (state?.slots ?? []).flatMap(({ slot, release, shadow }) =>
    [release, shadow?.release ?? null].flatMap((named) => (named === null ? [] : [{ slot, release: named.signed }])),
  );
}

export function createDesired(options: DesiredOptions): Desired {
  const { saved, roots, tenant, device, enrolledKey, time, self, logger } = options;
  let current: DesiredState | null = null;
  let applied: { readonly generation: number; readonly digest: string } | null = null;
  let waiting: Uint8Array | undefined;
  let isBusy = false;
  let again: NodeJS.Timeout | undefined;

  /**
   * What a slot follows already stays admitted there: a device keeps what it has, whatever became of its publisher or its
   * time. In another slot the same release is something new, and is asked for.
   */
  const toFollowed = (): ((release: Release, slot: string) => boolean) => {
    const toName = (release: Release, slot: string) => `${slot}/${toDocumentDigest(release)}`;
    const known = new Set(listReleases(current).map(({ release, slot }) => toName(release, slot)));
    return (release, slot) => known.has(toName(release, slot));
  };

  /** Of the newest only: one that came meanwhile is judged next, and has its own question. */
  const askAgain = (payload: Uint8Array): void => {
    if (waiting !== undefined) return;
    clearTimeout(again);
    again = setTimeout(() => take(payload), askAgainMs);
    again.unref();
  };

  /** False when it could not be kept. */
  const accept = (
    envelope: unknown,
    verified: { readonly document: DesiredState; readonly digest: string },
  ): boolean => {
    const { generation, issuedAtMs } = verified.document;
    try {
      const document = signedDesiredStateSchema.parse(envelope);
      // Kept before it is followed: after a crash an older document must not be followed again.
      saved.save({ v: 1, verifiedAtMs: time.nowMs(), digest: verified.digest, document });
    } catch (error) {
      options.onRefused({ code: "not_saved", reason: toErrorMessage(error).slice(0, 500) });
      return false;
    }
    applied = { generation, digest: verified.digest };
    current = verified.document;
    time.observe(issuedAtMs);
    logger.info("desired state accepted", { generation });
    options.onAccepted(verified.document);
    return true;
  };

  const judge = async (payload: Uint8Array): Promise<void> => {
    const envelope = parseJson(payload);
    const nowMs = time.nowMs();
    const isFollowed = toFollowed();
    const verified = verifyDesiredState(envelope, {
      roots,
      tenant,
      device,
      enrolledKey,
      self,
      nowMs,
      maxSkewMs,
      applied,
      isFollowed,
    });
    if (verified.kind === "refused") {
      if (verified.code !== "already_applied") options.onRefused(verified);
      return;
    }
    const fresh = listReleases(verified.document)
      .filter(({ release, slot }) => !isFollowed(release, slot))
      .map(({ release }) => release);
    const verdict = fresh.length === 0 ? ({ kind: "admitted" } as const) : await options.admit(fresh);
    switch (verdict.kind) {
      case "admitted":
        // A full disk is nothing that the plane would answer by sending it again.
        if (!accept(envelope, verified)) askAgain(payload);
        return;
      case "refused":
        return options.onRefused({ code: "release_invalid", reason: `${verdict.code}: ${verdict.reason}` });
      case "unknown":
        logger.warn("whether the release may be taken is not known yet", { reason: verdict.reason });
        askAgain(payload);
    }
  };

  /** One at a time, and of those that wait only the newest. */
  const take = (payload: Uint8Array): void => {
    waiting = payload;
    clearTimeout(again);
    if (isBusy) return;
    isBusy = true;
    void (async () => {
      try {
        while (waiting !== undefined) {
          const next: Uint8Array = waiting;
          waiting = undefined;
          await judge(next);
        }
      } catch (error) {
        options.onRefused({ code: "not_judged", reason: toErrorMessage(error).slice(0, 500) });
      } finally {
        isBusy = false;
      }
    })();
  };

  return {
    get generation() {
      return applied?.generation ?? 0;
    },
    get artifactUrls() {
      return current?.artifactUrls ?? [];
    },
    restore() {
      const record = saved.load();
      if (record === undefined) return;
      const { verifiedAtMs, document, digest } = record;
      const { generation } = document.signed;
      // It was in time and admitted when it was accepted; a device that was away for long keeps its last order.
      const verified = verifyDesiredState(document, {
        ...{ roots, tenant, device, enrolledKey, self, maxSkewMs },
        nowMs: verifiedAtMs,
        applied: null,
        isFollowed: () => true,
      });
      if (verified.kind === "refused" && verified.code === "foreign_enrolment") {
        logger.info("the kept desired state was for an earlier enrolment; the plane says it anew");
        return;
      }
      if (verified.kind === "refused" || verified.digest !== digest) {
        logger.error("the kept desired state does not verify", verified.kind === "refused" ? { ...verified } : {});
        return;
      }
      applied = { generation, digest };
      current = verified.document;
      time.observe(verified.document.issuedAtMs);
      options.onAccepted(verified.document);
    },
    receive: take,
    judgeTime(releaseId) {
      const named = listReleases(current).find(({ release }) => release.releaseId === releaseId);
      return named === undefined ? null : judgeReleaseTime(named.release, { nowMs: time.nowMs(), maxSkewMs });
    },
  };
}

/** What the desired state asks of one slot of this device. */
export function toWish(entry: DesiredSlot, capabilities: BuildCapabilities): Wish {
  const { rolloutId, attempt, soakMs } = entry;
  const release = entry.shadow?.release ?? entry.release;
  const releaseId = release?.signed.releaseId ?? null;
  const job = { releaseId, rolloutId, attempt };
  if (release === null || releaseId === null) return { kind: "empty", job };
  const { content } = release.signed;
  const candidates = listCandidates(content, capabilities);
  const [build, ...others] = candidates;
  if (build !== undefined && others.length > 0)
    return { kind: "choose", job, request: { slot: entry.slot, releaseId, content, candidates }, soakMs };
  if (build !== undefined) return { kind: "install", job, build: toInstalledBuild(releaseId, content, build), soakMs };
  const { arch, profile, executionProviders, formats } = capabilities;
  const reason = `${content.model} ${content.version} has no build for ${arch}, ${profile}, ${executionProviders.join("/")}, ${formats.join("/")}`;
  return { kind: "refused", job, end: { state: "no_compatible_build", code: "no_compatible_build", reason } };
}

/** What is to be installed, to run beside the active build instead when the desired state says so. */
export function asShadow(wish: Wish, entry: DesiredSlot): Wish {
  if (wish.kind !== "install" || entry.shadow === undefined || entry.shadow === null) return wish;
  const { job, build } = wish;
  const { share, tolerance } = entry.shadow;
  const beside = entry.release?.signed.releaseId ?? null;
  return { kind: "shadow", job, build, beside, shadow: { share, tolerance } };
}
