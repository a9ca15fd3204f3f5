import { CodedError } from "@fairlead/kernel";
import type { ShadowTerms, SignedRelease } from "@fairlead/protocol";
import type { DecisionKind, DecisionOf, RolloutRecord } from "@fairlead/rollout";
import type { Transaction } from "@fairlead/store";
import type { DesiredStates } from "../context.ts";

export interface ExecuteOptions {
  readonly tx: Transaction;
  readonly record: RolloutRecord;
  readonly desired: DesiredStates;
}

type Executor<Kind extends DecisionKind> = (decision: DecisionOf<Kind>, options: ExecuteOptions) => Promise<void>;
type Executors = { readonly [Kind in DecisionKind]: Executor<Kind> };

const inRecordOnly = async (): Promise<void> => undefined;

interface Shadow {
  readonly releaseId: string;
  readonly terms: ShadowTerms;
}

async function desire(
  { tx, record, desired }: ExecuteOptions,
  device: string,
  wish: { readonly releaseId: string | null; readonly attempt: number; readonly shadow?: Shadow | null },
): Promise<void> {
  const release = wish.releaseId === null ? null : await requireRelease(tx, wish.releaseId);
  const { shadow = null } = wish;
  const { rolloutId, spec } = record;
  await desired.setSlots(tx, device, [
    {
      slot: spec.slot,
      release,
      rolloutId,
      attempt: wish.attempt,
      soakMs: spec.deviceSoakMs,
      ...(shadow === null ? {} : { shadow: { ...shadow.terms, release: await requireRelease(tx, shadow.releaseId) } }),
    },
  ]);
}

async function requireRelease(tx: Transaction, releaseId: string): Promise<SignedRelease> {
  const release = await tx.releases.get(releaseId);
  if (release !== undefined) return release.document;
  throw new CodedError("release_missing", `release ${releaseId} is not in the registry`);
}

/** What each decision does outside the rollout's own record; a decision without an executor does not compile. */
export const executors: Executors = {
  "start-rollout": inRecordOnly,
  "plan-device": inRecordOnly,
  "exclude-device": inRecordOnly,
  "start-stage": inRecordOnly,
  "skip-stage": inRecordOnly,
  offer: ({ device, releaseId, attempt, shadow, previous }, options) =>
    shadow === null
      ? desire(options, device, { releaseId, attempt })
      : desire(options, device, {
          releaseId: previous?.releaseId ?? null,
          attempt,
          shadow: { releaseId, terms: shadow },
        }),
  "record-outcome": inRecordOnly,
  "start-soak": inRecordOnly,
  "record-verdicts": inRecordOnly,
  "pass-stage": inRecordOnly,
  "fail-stage": inRecordOnly,
  "request-approval": inRecordOnly,
  pause: inRecordOnly,
  "start-rollback": inRecordOnly,
  revert: ({ device, to, attempt }, options) => desire(options, device, { releaseId: to, attempt }),
  "confirm-revert": inRecordOnly,
  finish: inRecordOnly,
};

export function execute<Kind extends DecisionKind>(decision: DecisionOf<Kind>, options: ExecuteOptions): Promise<void> {
  // The table is keyed by the decision's own kind, so the executor found is the one for this decision.
  const executor = executors[decision.kind as Kind] as unknown as Executor<Kind>;
  return executor(decision, options);
}
