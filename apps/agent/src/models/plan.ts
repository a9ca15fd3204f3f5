import { isJobEnd, type ShadowTerms } from "@fairlead/protocol";
import type { ChoiceRequest } from "./choice/choice-record.ts";
import type { JobKey, JobVerdict } from "./life-cycle.ts";
import { toServingTarget, type Candidate, type InstalledBuild, type SlotRecord } from "./slot-record.ts";

/** What the signed desired state asks of one slot, after the release was verified and a build chosen. */
export type Wish =
  | { readonly kind: "empty"; readonly job: JobKey }
  | { readonly kind: "refused"; readonly job: JobKey; readonly end: JobVerdict }
  /** Several builds can run here: what is to be installed is known once they were measured. */
  | { readonly kind: "choose"; readonly job: JobKey; readonly request: ChoiceRequest; readonly soakMs: number }
  | { readonly kind: "install"; readonly job: JobKey; readonly build: InstalledBuild; readonly soakMs: number }
  /** To run beside the active build, which is to be of this release. */
  | {
      readonly kind: "shadow";
      readonly job: JobKey;
      readonly build: InstalledBuild;
      readonly beside: string | null;
      readonly shadow: ShadowTerms;
    };

export interface SlotLoad {
  readonly loadId: string;
  readonly digest: string;
}

/** What is true outside the record, at the moment of planning. Times are monotonic milliseconds. */
export interface SlotFacts {
  readonly nowMs: number;
  readonly servingReady: boolean;
  /** Loads of this slot that live in the serving process. */
  readonly loads: readonly SlotLoad[];
  readonly servedLoadId: string | null;
  /** The load that the serving process runs beside the served one. */
  readonly shadowLoadId: string | null;
  /** The slot already answers 503 by our order. */
  readonly stopDelivered: boolean;
  /** Why nothing at all may be served now, whatever the record says; null while it may. */
  readonly held: string | null;
  /** The fetch that runs or has ended well, and for which artifact: one that was superseded proves nothing of the next. */
  readonly fetch: { readonly digest: string; readonly state: "running" | "done" } | null;
  /** Do not fetch or load before this time. */
  readonly retryAtMs: number;
  readonly trialSinceMs: number | null;
}

export type Step =
  | { readonly kind: "idle" }
  | { readonly kind: "wait"; readonly untilMs: number }
  | { readonly kind: "end-job"; readonly job: JobKey; readonly end: JobVerdict }
  | { readonly kind: "adopt"; readonly job: JobKey; readonly build: InstalledBuild }
  | { readonly kind: "await-choice"; readonly job: JobKey; readonly candidates: number }
  | { readonly kind: "remove"; readonly job: JobKey }
  | {
      readonly kind: "begin";
      readonly job: JobKey;
      readonly build: InstalledBuild;
      readonly soakMs: number;
      readonly shadow?: ShadowTerms;
    }
  | { readonly kind: "drop" }
  | { readonly kind: "fetch"; readonly build: InstalledBuild }
  | { readonly kind: "accept-fetched" }
  | { readonly kind: "load"; readonly build: InstalledBuild; readonly role: "candidate" | "serve" }
  | { readonly kind: "self-test"; readonly build: InstalledBuild; readonly loadId: string }
  | { readonly kind: "begin-trial"; readonly loadId: string }
  | { readonly kind: "begin-shadow"; readonly loadId: string; readonly terms: ShadowTerms }
  | { readonly kind: "activate"; readonly loadId: string }
  | { readonly kind: "stop"; readonly reason: string }
  | { readonly kind: "confirm" }
  | { readonly kind: "revert"; readonly verdict: JobVerdict }
  | { readonly kind: "finish-revert" }
  | { readonly kind: "unload"; readonly loadId: string };

/** A trial that had to be begun this often took the machine or the agent down: it goes back. */
export const maxTrialStarts = 3;

const idle: Step = { kind: "idle" };
const waitUntil = (untilMs: number): Step => ({ kind: "wait", untilMs });

function isSameJob(record: SlotRecord, job: JobKey): boolean {
  return record.job !== null && isSameRequest(record.job, job);
}

function findLoad(facts: SlotFacts, digest: string): SlotLoad | undefined {
  return facts.loads.find((load) => load.digest === digest);
}

/** The step that brings the served model to what the record says; null when it is already so or cannot be now. */
function planServing(record: SlotRecord, facts: SlotFacts): Step | null {
  if (!facts.servingReady) return null;
  const stopped = record.stopped?.reason ?? facts.held;
  if (stopped !== null) return facts.stopDelivered ? null : { kind: "stop", reason: stopped.slice(0, 256) };
  const target = toServingTarget(record);
  const served = facts.loads.find((load) => load.loadId === facts.servedLoadId);
  if (target === null) return planNothingToServe(record, facts, served);
  if (served?.digest === target.artifact.digest) return null;
  // The bytes in memory were checked when they were loaded: a file that changed later does not stop them.
  const activeDigest = record.active?.artifact.digest;
  if (record.candidate?.phase !== "trial" && served !== undefined && served.digest === activeDigest) return null;
  const load = findLoad(facts, target.artifact.digest);
  const onTrial = record.candidate?.phase === "trial";
  if (onTrial && (record.candidate?.trialStarts ?? 0) >= maxTrialStarts) {
    const reason = `the trial was cut short ${maxTrialStarts} times`;
    return { kind: "revert", verdict: { state: "rolled_back", code: "crash", reason } };
  }
  if (load !== undefined) return { kind: "activate", loadId: load.loadId };
  if (facts.nowMs < facts.retryAtMs) return waitUntil(facts.retryAtMs);
  return { kind: "load", build: target, role: onTrial ? "candidate" : "serve" };
}

function planNothingToServe(record: SlotRecord, facts: SlotFacts, served: SlotLoad | undefined): Step | null {
  if (served === undefined || served.digest === record.active?.artifact.digest) return null;
  return facts.stopDelivered ? null : { kind: "stop", reason: "the slot is empty" };
}

function planCandidate(candidate: Candidate, record: SlotRecord, facts: SlotFacts): Step {
  const load = findLoad(facts, candidate.build.artifact.digest);
  switch (candidate.phase) {
    case "downloading":
      if (facts.fetch?.digest === candidate.build.artifact.digest)
        return facts.fetch.state === "done" ? { kind: "accept-fetched" } : idle;
      return facts.nowMs < facts.retryAtMs ? waitUntil(facts.retryAtMs) : { kind: "fetch", build: candidate.build };
    case "verified":
    case "staged":
      if (!facts.servingReady) return idle;
      if (load === undefined) {
        return facts.nowMs < facts.retryAtMs
          ? waitUntil(facts.retryAtMs)
          : { kind: "load", build: candidate.build, role: "candidate" };
      }
      if (record.job?.selfTest?.passed !== true)
        return { kind: "self-test", build: candidate.build, loadId: load.loadId };
      return candidate.shadow === undefined
        ? { kind: "begin-trial", loadId: load.loadId }
        : { kind: "begin-shadow", loadId: load.loadId, terms: candidate.shadow };
    case "shadowing":
      if (!facts.servingReady || candidate.shadow === undefined) return idle;
      if (load === undefined) {
        return facts.nowMs < facts.retryAtMs
          ? waitUntil(facts.retryAtMs)
          : { kind: "load", build: candidate.build, role: "candidate" };
      }
      if (facts.shadowLoadId === load.loadId) return idle;
      return { kind: "begin-shadow", loadId: load.loadId, terms: candidate.shadow };
    case "trial": {
      if (!facts.servingReady || facts.trialSinceMs === null) return idle;
      const endMs = facts.trialSinceMs + candidate.soakMs;
      return facts.nowMs >= endMs ? { kind: "confirm" } : waitUntil(endMs);
    }
    case "reverting":
      return { kind: "finish-revert" };
  }
}

function planWish(wish: Wish, record: SlotRecord): Step {
  if (isSameJob(record, wish.job)) {
    // A failed attempt is never retried blindly; a lost candidate of an unfinished job is begun again.
    if (record.job !== null && isJobEnd(record.job.state)) return idle;
  }
  switch (wish.kind) {
    case "empty":
      return { kind: "remove", job: wish.job };
    case "refused":
      return { kind: "end-job", job: wish.job, end: wish.end };
    case "choose": {
      const candidates = wish.request.candidates.length;
      return isSameJob(record, wish.job) ? idle : { kind: "await-choice", job: wish.job, candidates };
    }
    case "install": {
      const digest = wish.build.artifact.digest;
      if (record.active?.artifact.digest === digest && !record.distrusted.includes(digest))
        return { kind: "adopt", job: wish.job, build: wish.build };
      return { kind: "begin", job: wish.job, build: wish.build, soakMs: wish.soakMs };
    }
    case "shadow":
      return planShadow(wish, record);
  }
}

function planShadow(wish: Extract<Wish, { kind: "shadow" }>, { active }: SlotRecord): Step {
  const { job, build, beside, shadow } = wish;
  if (active === null || active.releaseId !== beside) {
    const found = active === null ? "nothing" : `${active.version} of another release`;
    const reason = `the slot runs ${found}, not the release that ${build.version} was to be compared with`;
    return { kind: "end-job", job, end: { state: "rejected", code: "base_differs", reason } };
  }
  if (active.artifact.digest === build.artifact.digest)
    return { kind: "end-job", job, end: { state: "already_installed", code: null, reason: null } };
  return { kind: "begin", job, build, soakMs: 0, shadow };
}

function planUnload(record: SlotRecord, facts: SlotFacts): Step {
  const needed = new Set([
    toServingTarget(record)?.artifact.digest,
    record.candidate?.build.artifact.digest,
    // While a trial runs its way back stays in memory, so that going back costs no request.
    record.candidate === null ? undefined : record.active?.artifact.digest,
  ]);
  const extra = facts.loads.find((load) => load.loadId !== facts.servedLoadId && !needed.has(load.digest));
  return extra !== undefined && facts.servingReady ? { kind: "unload", loadId: extra.loadId } : idle;
}

/**
 * The next step of one slot. Total and free of side effects: the same record, wish and facts give the same step, and a
 * slot that has arrived answers `idle`. Serving comes first, so that no download or failing job delays a restart.
 */
export function planSlot(record: SlotRecord, wish: Wish | null, facts: SlotFacts): Step {
  const { candidate } = record;
  const superseded = candidate !== null && wish !== null && !isSameJob(record, wish.job);
  if (superseded && candidate.phase === "trial") {
    const reason = "another release was asked for before the trial ended";
    return { kind: "revert", verdict: { state: "canceled", code: "superseded", reason } };
  }
  if (superseded && candidate.phase !== "reverting") return { kind: "drop" };
  if (candidate?.phase === "trial" && record.distrusted.includes(candidate.build.artifact.digest)) {
    const reason = "the file of the new build changed on this disk during its trial";
    return { kind: "revert", verdict: { state: "rolled_back", code: "integrity", reason } };
  }
  const serving = planServing(record, facts);
  if (serving !== null && serving.kind !== "wait") return serving;
  // Nothing goes on its way to being served while nothing may be.
  if (facts.held !== null && candidate?.phase !== "reverting") return idle;
  const step =
    candidate !== null ? planCandidate(candidate, record, facts) : wish !== null ? planWish(wish, record) : idle;
  if (step.kind !== "idle" && step.kind !== "wait") return step;
  const unload = planUnload(record, facts);
  if (unload.kind !== "idle") return unload;
  return toSooner(step, serving ?? idle);
}

function toSooner(one: Step, other: Step): Step {
  if (one.kind !== "wait") return other;
  return other.kind === "wait" && other.untilMs < one.untilMs ? other : one;
}

/** Attempts count within one rollout, so a later rollout of the same release is another request with the same number. */
export function isSameRequest(left: JobKey, right: JobKey): boolean {
  return left.releaseId === right.releaseId && left.rolloutId === right.rolloutId && left.attempt === right.attempt;
}
