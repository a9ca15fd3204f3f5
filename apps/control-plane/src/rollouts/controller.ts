import { toErrorMessage } from "@fairlead/kernel";
import { applyDecision, reconcile, type Decision, type RolloutRecord } from "@fairlead/rollout";
import type { RolloutRow, Transaction } from "@fairlead/store";
import { createReconcileLoop, type ReconcileLoop } from "../reconcile-loop.ts";
import { toOwnDecision } from "../audit/own-decision.ts";
import { announceRollout } from "./announce.ts";
import { markClaims } from "./claims.ts";
import { loadEvidence } from "./evidence.ts";
import { execute } from "./executors.ts";
import { loadFleet } from "./fleet.ts";
import { noteVerdict } from "./known-bad.ts";
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

export function createRolloutController(ports: RolloutPorts): ReconcileLoop {
  const { audit, clock, desired, logger, store, stream } = ports;

  /** One round: record, side effects in the store and audit are one transaction, so a crash leaves all or nothing. */
  const advance = (rolloutId: string): Promise<boolean> =>
    store.transaction(async (tx) => {
      const row = await tx.rollouts.get(rolloutId);
      if (row === undefined) return false;
      const nowMs = clock.nowMs();
      const { slot, selector } = row.record.spec;
      const seen = await loadFleet(tx, { slot, selector, record: row.record });
      const fleet = await markClaims({ from: tx, vouching: ports.vouching, nowMs }, row.record, seen);
      const evidence = await loadEvidence(tx, { record: row.record, fleet }, nowMs);
      const release = await tx.releases.get(row.record.releaseId);
      const withdrawn = release === undefined ? null : await ports.vouching.judge(tx, release.document.signed, nowMs);
      const decisions = reconcile({ record: row.record, fleet, evidence, withdrawn }, nowMs);
      if (decisions.length === 0) return false;
      let record: RolloutRecord = row.record;
      for (const decision of decisions) {
        const before = toStandingOf(record, decision);
        record = applyDecision(record, decision, nowMs);
        await execute(decision, { tx, record, desired });
        await noteVerdict(tx, record, { decision, nowMs, audit });
        if (!isNotable(decision)) continue;
        await audit.append(tx, {
          ...{ ...toOwnDecision("rollouts"), action: `rollout.${decision.kind}`, subject: rolloutSubject(rolloutId) },
          ...{ reason: decision.reason, change: { before, after: toStandingOf(record, decision) } },
          details: toDetails(decision),
        });
      }
      await saveRecord(tx, row, { record, nowMs });
      await announceRollout(tx, ports, { before: row, after: record });
      await stream.emit(tx, "rollout", rolloutId);
      return true;
    });

  /** One that cannot go on holds up no other. */
  const advanceFully = async (rolloutId: string): Promise<void> => {
    try {
      for (let round = 0; round < maxRounds && (await advance(rolloutId)); round += 1);
    } catch (error) {
      logger.error("a rollout could not go on; the next tick tries again", { rolloutId, error: toErrorMessage(error) });
    }
  };

  return createReconcileLoop({
    name: "rollouts",
    everyMs: tickMs,
    logger,
    run: async () => {
      for (const { rolloutId } of await store.read.rollouts.listLive()) await advanceFully(rolloutId);
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
