import { isJobEnd, type JobState, type ShadowTerms } from "@fairlead/protocol";
import type { Candidate, InstalledBuild, Job, SlotRecord } from "./slot-record.ts";

/** What happens to a slot. The engine saves the record that follows before it causes the next side effect. */
export type SlotEvent =
  | { readonly kind: "job-ended"; readonly job: JobKey; readonly end: JobVerdict }
  | {
      readonly kind: "begun";
      readonly job: JobKey;
      readonly build: InstalledBuild;
      readonly soakMs: number;
      readonly shadow?: ShadowTerms;
    }
  | { readonly kind: "adopted"; readonly job: JobKey; readonly build: InstalledBuild }
  | { readonly kind: "choosing"; readonly job: JobKey; readonly candidates: number }
  | { readonly kind: "waiting"; readonly code: string; readonly reason: string }
  | { readonly kind: "downloading" }
  | { readonly kind: "downloaded" }
  | { readonly kind: "verified" }
  | { readonly kind: "loaded" }
  | { readonly kind: "self-tested"; readonly latencyP95Us: number | null }
  | { readonly kind: "shadowing" }
  | { readonly kind: "activating" }
  | { readonly kind: "activated" }
  | { readonly kind: "confirmed" }
  | { readonly kind: "failed"; readonly code: string; readonly reason: string; readonly selfTestRan?: boolean }
  | { readonly kind: "dropped" }
  | { readonly kind: "reverting"; readonly verdict: JobVerdict }
  | { readonly kind: "reverted" }
  | { readonly kind: "fell-back" }
  | { readonly kind: "removed"; readonly job: JobKey }
  | { readonly kind: "stopped"; readonly reason: string; readonly byClient?: true }
  | { readonly kind: "client-lifted" }
  | { readonly kind: "distrusted"; readonly digest: string }
  | { readonly kind: "repaired"; readonly digest: string };

export interface JobKey {
  readonly releaseId: string | null;
  readonly rolloutId: string | null;
  readonly attempt: number;
}

export interface JobVerdict {
  readonly state: JobState;
  readonly code: string | null;
  readonly reason: string | null;
}

const cut = (text: string | null): string | null => (text === null ? null : text.slice(0, 500));

function toJob(key: JobKey, verdict: JobVerdict): Job {
  return { ...key, state: verdict.state, code: verdict.code, reason: cut(verdict.reason), selfTest: null };
}

function withJob(record: SlotRecord, change: Partial<Job>): SlotRecord {
  // An end state is never left (vocabulary, rules).
  if (record.job === null || isJobEnd(record.job.state)) return record;
  return { ...record, job: { ...record.job, code: null, reason: null, ...change } };
}

function withPhase(record: SlotRecord, from: readonly Candidate["phase"][], phase: Candidate["phase"]): SlotRecord {
  const { candidate } = record;
  if (candidate === null || !from.includes(candidate.phase)) return record;
  return { ...record, candidate: { ...candidate, phase } };
}

const rollbackCodes: ReadonlySet<string> = new Set([
  "crash",
  "hang",
  "self_test_failed",
  "load_failed",
  "unhealthy",
  "commanded",
  "integrity",
]);

/** With a build to fall back on, a failed candidate means rolled back; without one there is nothing to return to. */
function toEndState(record: SlotRecord, code: string): JobState {
  return record.active !== null && rollbackCodes.has(code) ? "rolled_back" : "failed";
}

/** The table of the model life cycle: record and event give the next record. An event that does not fit changes nothing. */
export function applySlotEvent(record: SlotRecord, event: SlotEvent): SlotRecord {
  const { candidate } = record;
  switch (event.kind) {
    case "job-ended":
      return { ...record, job: toJob(event.job, event.end) };
    case "adopted":
      // The same bytes under another release: nothing moves, only what they are called.
      return {
        ...record,
        active: event.build,
        stopped: null,
        job: toJob(event.job, { state: "already_installed", code: null, reason: null }),
      };
    case "begun":
      return {
        ...record,
        candidate: {
          phase: "downloading",
          build: event.build,
          soakMs: event.soakMs,
          ...(event.shadow === undefined ? {} : { shadow: event.shadow }),
          trialStarts: 0,
          verdict: null,
        },
        job: toJob(event.job, { state: "downloading", code: null, reason: null }),
      };
    case "choosing": {
      const reason = `${event.candidates} builds can run here and are measured`;
      return { ...record, job: toJob(event.job, { state: "waiting", code: "choosing", reason }) };
    }
    case "waiting":
      return withJob(record, { state: "waiting", code: event.code, reason: cut(event.reason) });
    case "downloading":
      return withJob(record, { state: "downloading" });
    case "downloaded":
      return withJob(record, { state: "verifying" });
    case "verified":
      return withJob(withPhase(record, ["downloading"], "verified"), { state: "installing" });
    case "loaded":
      // A shadow that is loaded again after a restart has proved itself before.
      if (candidate?.phase === "shadowing") return record;
      return withJob(withPhase(record, ["verified"], "staged"), { state: "self_test" });
    case "self-tested":
      // A build whose load outlived an earlier attempt is proved without being loaded again.
      if (candidate?.phase !== "staged" && candidate?.phase !== "verified") return record;
      return withJob(withPhase(record, ["verified"], "staged"), {
        state: "activating",
        selfTest: { passed: true, latencyP95Us: event.latencyP95Us },
      });
    case "shadowing": {
      if (candidate?.shadow === undefined || candidate.phase !== "staged") return record;
      const reason = `runs beside ${record.active?.version ?? "nothing"} and answers nobody`;
      // The job goes on as long as the comparison does: it ends when the build fails or another request comes.
      return withJob(withPhase(record, ["staged"], "shadowing"), { state: "soaking", code: "shadowing", reason });
    }
    case "activating": {
      if (
        candidate === null ||
        candidate.shadow !== undefined ||
        (candidate.phase !== "staged" && candidate.phase !== "trial")
      )
        return record;
      const trial = { ...candidate, phase: "trial" as const, trialStarts: candidate.trialStarts + 1 };
      return withJob({ ...record, candidate: trial, stopped: null }, { state: "activating" });
    }
    case "activated":
      return candidate?.phase === "trial" ? withJob(record, { state: "soaking" }) : record;
    case "confirmed":
      if (candidate?.phase !== "trial") return record;
      return withJob(
        { ...record, active: candidate.build, previous: record.active, candidate: null },
        { state: "succeeded" },
      );
    case "failed": {
      if (candidate === null) return record;
      const selfTest = event.selfTestRan === true ? { selfTest: { passed: false, latencyP95Us: null } } : {};
      return withJob(
        { ...record, candidate: null },
        { state: toEndState(record, event.code), code: event.code, reason: cut(event.reason), ...selfTest },
      );
    }
    case "dropped":
      return withJob({ ...record, candidate: null }, { state: "canceled", code: "superseded" });
    case "reverting": {
      if (candidate?.phase !== "trial") return record;
      const verdict = {
        ...event.verdict,
        code: event.verdict.code ?? "unknown",
        reason: cut(event.verdict.reason) ?? "",
      };
      return { ...record, candidate: { ...candidate, phase: "reverting", verdict } };
    }
    case "reverted": {
      if (candidate?.phase !== "reverting") return record;
      const verdict = candidate.verdict ?? { state: "rolled_back" as const, code: "unknown", reason: "" };
      const state = verdict.state === "rolled_back" ? toEndState(record, verdict.code) : verdict.state;
      return withJob({ ...record, candidate: null }, { state, code: verdict.code, reason: verdict.reason });
    }
    case "fell-back":
      if (record.previous === null || candidate?.phase === "trial") return record;
      return { ...record, active: record.previous, previous: null };
    case "removed":
      return {
        ...record,
        active: null,
        previous: null,
        candidate: null,
        stopped: null,
        distrusted: [],
        job: toJob(event.job, { state: "removed", code: null, reason: null }),
      };
    case "stopped":
      return {
        ...record,
        stopped: { reason: event.reason.slice(0, 256), ...(event.byClient === undefined ? {} : { byClient: true }) },
      };
    case "client-lifted":
      // What the control plane stopped, no client starts.
      return record.stopped?.byClient === true ? { ...record, stopped: null } : record;
    case "distrusted":
      if (record.distrusted.includes(event.digest)) return record;
      return { ...record, distrusted: [...record.distrusted, event.digest].slice(-16) };
    case "repaired":
      return { ...record, stopped: null, distrusted: record.distrusted.filter((digest) => digest !== event.digest) };
  }
}
