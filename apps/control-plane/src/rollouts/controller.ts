import { setImmediate } from "node:timers/promises";
import { toErrorMessage } from "@fairlead/kernel";
import { RolloutDraft, type Decision, type RolloutRecord } from "@fairlead/rollout";
import type { RolloutRow, Transaction } from "@fairlead/store";
import { createReconcileLoop, type Found, type ReconcileLoop } from "../reconcile-loop.ts";
import { toOwnDecision } from "../audit/own-decision.ts";
import { doInTurns, maxPerRound } from "../round.ts";
import { announceRollout } from "./announce.ts";
import { execute } from "./executors.ts";
import { noteVerdict } from "./known-bad.ts";
import { look } from "./look.ts";
import type { RolloutPorts } from "./ports.ts";
import { toStandingOf } from "./standing.ts";

/** Rounds of one turn: decisions lead to further ones (a stage passes, the next begins) without waiting for a tick. */
const maxRounds = 12;
const tickMs = 500;

export function rolloutSubject(rolloutId: string): string {
  return `rollout:${rolloutId}`;
}

/** What is worth a line in the history: everything but readings of gates that say what they said before. */
function isNotable(decision: Decision): boolean {
  return decision.kind !== "record-verdicts" || decision.changed;
}

function toDetails(decision: Decision): Record<string, unknown> {
  const { kind: _kind, reason: _reason, ...details } = decision;
  return details;
}

export function createRolloutController(ports: RolloutPorts, maxDecisions = maxPerRound): ReconcileLoop {
  const { audit, clock, desired, logger, store, stream, vouching } = ports;

  /** One round: record, side effects in the store and audit are one transaction, so a crash leaves all or nothing. */
  const advance = (rolloutId: string): Promise<boolean> =>
    store.transaction(async (tx) => {
      const row = await tx.rollouts.get(rolloutId);
      if (row === undefined) return false;
      const nowMs = clock.nowMs();
      const decisions = (await look(tx, row, { vouching, nowMs })).slice(0, maxDecisions);
      if (decisions.length === 0) return false;
      const draft = new RolloutDraft(row.record);
      await doInTurns(decisions, async (decision) => {
        const before = toStandingOf(draft, decision);
        draft.apply(decision, nowMs);
        await execute(decision, { tx, record: row.record, desired });
        await noteVerdict(tx, row.record, { decision, nowMs, audit });
        if (!isNotable(decision)) return;
        await audit.append(tx, {
          ...{ ...toOwnDecision("rollouts"), action: `rollout.${decision.kind}`, subject: rolloutSubject(rolloutId) },
          ...{ reason: decision.reason, change: { before, after: toStandingOf(draft, decision) } },
          details: toDetails(decision),
        });
      });
      const { record } = draft;
      await saveRecord(tx, row, { record, nowMs });
      await announceRollout(tx, ports, { before: row, after: record });
      await stream.emit(tx, "rollout", rolloutId);
      return true;
    });

  /** Mostly nothing is to be done. That is found out beside whoever writes, and what is to be done is decided anew among them. */
  const isDue = async (rolloutId: string): Promise<boolean> => {
    const row = await store.read.rollouts.get(rolloutId);
    return row !== undefined && (await look(store.read, row, { vouching, nowMs: clock.nowMs() })).length > 0;
  };

  /** One that cannot go on holds up no other. */
  const advanceFully = async (rolloutId: string, signal: AbortSignal): Promise<Found> => {
    try {
      if (!(await isDue(rolloutId))) return "nothing";
      for (let round = 0; round < maxRounds && (await advance(rolloutId)) && !signal.aborted; round += 1)
        await setImmediate();
    } catch (error) {
      logger.error("a rollout could not go on; the next tick tries again", { rolloutId, error: toErrorMessage(error) });
    }
    return "work";
  };

  return createReconcileLoop({
    name: "rollouts",
    everyMs: tickMs,
    logger,
    run: async (signal) => {
      let found: Found = "nothing";
      for (const { rolloutId } of await store.read.rollouts.listLivePlaces())
        if ((await advanceFully(rolloutId, signal)) === "work") found = "work";
      return found;
    },
  });
}

export async function saveRecord(
  tx: Transaction,
  row: RolloutRow,
  change: { readonly record: RolloutRecord; readonly nowMs: number },
): Promise<RolloutRow> {
  const saved: RolloutRow = {
    ...row,
    state: change.record.state,
    record: change.record,
    updatedAtMs: change.nowMs,
    revision: row.revision + 1,
  };
  await tx.rollouts.save(saved);
  return saved;
}
