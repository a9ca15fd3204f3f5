import { toLoadTarget } from "./load-target.ts";
import { assertNever, hasErrorCode, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { Step } from "./plan.ts";
import type { SlotEngine } from "./slot-engine.ts";
import type { StepLimits } from "./slot-ports.ts";
import type { InstalledBuild } from "./slot-record.ts";

const defaultLimits: StepLimits = { loadMs: 120_000, selfTestMs: 300_000 };
const toLimits = ({ ports }: SlotEngine): StepLimits => ports.limits ?? defaultLimits;

type Executors = {
  readonly [Kind in Step["kind"]]: (slot: SlotEngine, step: Extract<Step, { kind: Kind }>) => Promise<void>;
};

/** One executor per step: a step without one does not compile. */
const executors: Executors = {
  idle: async () => undefined,
  wait: async () => undefined,
  "end-job": async (slot, step) => slot.apply({ kind: "job-ended", job: step.job, end: step.end }),
  adopt: async (slot, step) => slot.apply({ kind: "adopted", job: step.job, build: step.build }),
  "await-choice": async (slot, step) => slot.apply({ kind: "choosing", job: step.job, candidates: step.candidates }),
  remove: async (slot, step) => slot.apply({ kind: "removed", job: step.job }),
  begin: async (slot, step) => slot.apply({ ...step, kind: "begun" }),
  drop: async (slot) => slot.apply({ kind: "dropped" }),
  fetch: async (slot, step) => slot.startFetch(step.build),
  "accept-fetched": async (slot) => slot.acceptFetched(),
  load: (slot, step) => load(slot, step.build, step.role),
  "self-test": (slot, step) => selfTest(slot, step.build, step.loadId),
  "begin-trial": async (slot, step) => {
    slot.apply({ kind: "activating" });
    await activate(slot, step.loadId);
  },
  "begin-shadow": async (slot, step) => {
    const { share, tolerance } = step.terms;
    await slot.ports.serving
      .request({ kind: "shadow", slot: slot.record.slot, loadId: step.loadId, share, tolerance })
      .then(() => slot.setShadow(step.loadId))
      .catch((error: unknown) => onServingLost(slot, error));
  },
  activate: async (slot, step) => {
    if (slot.onTrial) slot.apply({ kind: "activating" });
    await activate(slot, step.loadId);
  },
  stop: async (slot, step) => {
    await slot.ports.serving
      .request({ kind: "stop-serving", slot: slot.record.slot, reason: step.reason })
      .then(() => slot.setServed(null))
      .catch((error: unknown) => onServingLost(slot, error));
  },
  confirm: async (slot) => slot.apply({ kind: "confirmed" }),
  revert: async (slot, step) => slot.apply({ kind: "reverting", verdict: step.verdict }),
  "finish-revert": async (slot) => {
    const gone = slot.record.candidate;
    slot.apply({ kind: "reverted" });
    if (gone === null) return;
    const reason = `${gone.verdict?.code ?? "unknown"}: ${gone.verdict?.reason ?? ""}`.slice(0, 256);
    slot.ports.emit({ kind: "reverted", slot: slot.record.slot, buildDigest: gone.build.artifact.digest, reason });
  },
  unload: async (slot, step) => {
    await slot.ports.serving
      .request({ kind: "unload", loadId: step.loadId }, toLimits(slot).loadMs)
      .catch((error: unknown) =>
        slot.ports.logger.warn("a load could not be given back", { reason: toErrorMessage(error) }),
      );
    slot.removeLoad(step.loadId);
  },
};

export function executeStep(slot: SlotEngine, step: Step): Promise<void> {
  const executor = executors[step.kind] as ((slot: SlotEngine, step: Step) => Promise<void>) | undefined;
  return executor === undefined ? assertNever(step as never) : executor(slot, step);
}

function isServingLost(error: unknown): boolean {
  return ["serving_exited", "serving_timeout", "serving_unavailable"].some((code) => hasErrorCode(error, code));
}

/** The process went away under a steady step: its exit wakes the slot again, and planning starts from what is true then. */
function onServingLost(slot: SlotEngine, error: unknown): void {
  if (!isServingLost(error)) throw error;
  slot.wakeAt(slot.ports.clock.monotonicMs() + 250);
}

async function load(slot: SlotEngine, build: InstalledBuild, role: "candidate" | "serve"): Promise<void> {
  const { digest, sizeBytes } = build.artifact;
  const { threads, deadlineMs, scheduling, toPath } = slot.ports;
  const loadId = slot.toNewLoadId(digest);
  const identity = { slot: slot.record.slot, model: build.model, version: build.version };
  try {
    const target = toLoadTarget(identity.slot, build.providers, slot.ports.offers);
    const result = await slot.ports.serving.request(
      {
        kind: "load",
        loadId,
        ...identity,
        path: toPath(digest),
        digest,
        sizeBytes,
        classification: build.classification,
        threads,
        deadlineMs,
        ...(build.tensors === undefined ? {} : { tensors: build.tensors }),
        ...target,
        ...(scheduling === undefined ? {} : { scheduling }),
      },
      toLimits(slot).loadMs + (target.loadDeadlineMs ?? 0) * (scheduling?.instances ?? 1),
    );
    slot.addLoad({ loadId, digest, build, placement: result.placement });
    if (role === "candidate") slot.apply({ kind: "loaded" });
  } catch (error) {
    if (role === "candidate") failCandidate(slot, { error, loadId, code: "load_failed" });
    else slot.onServeFailed(build, error);
  }
}

async function selfTest(slot: SlotEngine, build: InstalledBuild, loadId: string): Promise<void> {
  if (build.golden === null) return slot.apply({ kind: "self-tested", latencyP95Us: null });
  const golden = { path: slot.ports.toPath(build.golden.digest), ...build.golden };
  try {
    const result = await slot.ports.serving.request(
      {
        kind: "self-test",
        loadId,
        golden,
        limits: { latencyP95Ms: build.latencyP95Ms, minPassedRatio: build.accuracyFloor ?? 1 },
        repeats: build.repeats,
      },
      toLimits(slot).selfTestMs,
    );
    if (result.passed) return slot.apply({ kind: "self-tested", latencyP95Us: result.latencyUs?.p95 ?? null });
    const failed = result.cases.filter((one) => !one.passed);
    const detail = failed
      .slice(0, 3)
      .map((one) => `${one.name}: ${one.reason ?? "differs"}`)
      .join("; ");
    const reason = result.reason ?? `${failed.length} of ${result.cases.length} golden cases failed: ${detail}`;
    slot.apply({ kind: "failed", code: "self_test_failed", reason, selfTestRan: true });
  } catch (error) {
    failCandidate(slot, { error, loadId, code: "self_test_failed" });
  }
}

/** A candidate that does not load or prove itself ends its job; one that was on trial goes back. */
function failCandidate(
  slot: SlotEngine,
  failure: { readonly error: unknown; readonly loadId: string; readonly code: string },
): void {
  const { error, loadId } = failure;
  if (hasErrorCode(error, "serving_unavailable")) return slot.wakeAt(slot.ports.clock.monotonicMs() + 250);
  const lost = isServingLost(error);
  const exit = slot.lastExit;
  if (lost && exit !== null) {
    // Killed on purpose, or by another slot's model: nothing is proved against this build.
    if (exit.cause === "requested" || slot.isOthersFault(loadId, exit.inflight)) return;
  }
  // A run past its deadline is answered before the process is killed for it: either word may come first.
  const hung =
    hasErrorCode(error, "serving_timeout") ||
    hasErrorCode(error, "inference_deadline") ||
    (lost && exit?.cause === "hang");
  const code = hung ? "hang" : lost ? "crash" : failure.code;
  const reason = `${toErrorCode(error) ?? "unknown"}: ${toErrorMessage(error)}`;
  if (slot.onTrial) slot.apply({ kind: "reverting", verdict: { state: "rolled_back", code, reason } });
  else slot.apply({ kind: "failed", code, reason });
}

async function activate(slot: SlotEngine, loadId: string): Promise<void> {
  try {
    await slot.ports.serving.request({ kind: "activate", slot: slot.record.slot, loadId });
    slot.setServed(loadId);
    slot.apply({ kind: "activated" });
  } catch (error) {
    onServingLost(slot, error);
  }
}
