import { CodedError } from "@fairlead/kernel";
import {
  isSelected,
  parseSelector,
  type RolloutAction,
  type RolloutSpec,
  type RolloutStatus,
} from "@fairlead/protocol";
import { applyRolloutAction, assertRolloutSpec, createRollout, toRolloutStatus } from "@fairlead/rollout";
import type { ReleaseRow, Repositories, RolloutRow, Transaction } from "@fairlead/store";
import { announceRollout } from "./announce.ts";
import { rolloutSubject, saveRecord } from "./controller.ts";
import { loadFleet } from "./fleet.ts";
import { requireGoodWayBack, requireNotKnownBad } from "./known-bad.ts";
import type { RolloutPorts } from "./ports.ts";

export interface ActOptions {
  readonly rolloutId: string;
  readonly action: RolloutAction;
  readonly actor: string;
  readonly reason: string;
  /** Refused when the rollout has changed since this entity tag; null = whatever it is now. */
  readonly ifMatch: string | null;
}

export interface RolloutService {
  create(spec: RolloutSpec, actor: string): Promise<RolloutStatus>;
  act(options: ActOptions): Promise<RolloutStatus>;
  get(rolloutId: string): Promise<RolloutStatus>;
  list(limit: number): Promise<RolloutStatus[]>;
}

export async function toStatus(from: Repositories, row: RolloutRow): Promise<RolloutStatus> {
  const { slot, selector } = row.record.spec;
  const fleet = await loadFleet(from, { slot, selector, record: row.record });
  const parts = toRolloutStatus({ record: row.record, fleet });
  return { ...parts, createdBy: row.createdBy, updatedAtMs: row.updatedAtMs, etag: String(row.revision) };
}

/** Two rollouts that move the same slot of the same device would fight; the second waits for the first. */
async function assertNoOverlap(tx: Transaction, spec: RolloutSpec): Promise<void> {
  const selector = parseSelector(spec.selector);
  const devices = (await tx.devices.list()).filter(({ labels }) => isSelected(selector, labels));
  for (const row of await tx.rollouts.listLive()) {
    if (row.slot !== spec.slot || row.state === "succeeded") continue;
    const other = parseSelector(row.selector);
    const shared = devices.find(({ labels }) => isSelected(other, labels));
    if (shared === undefined) continue;
    throw new CodedError(
      "rollout_in_progress",
      `rollout ${row.rolloutId} moves slot ${spec.slot} of ${shared.device} now`,
      {
        hint: `wait for it, or end it with: fairlead rollouts abort ${row.rolloutId}`,
        details: { rolloutId: row.rolloutId, device: shared.device },
      },
    );
  }
}

async function requireRow(from: Repositories, rolloutId: string): Promise<RolloutRow> {
  const row = await from.rollouts.get(rolloutId);
  if (row !== undefined) return row;
  throw new CodedError("not_found", `there is no rollout ${rolloutId}`, {
    hint: "see them with: fairlead rollouts list",
  });
}

/** Nothing is asked of devices that they would refuse. @throws CodedError with the code of the withdrawal */
async function requireVouched(ports: RolloutPorts, tx: Transaction, release: ReleaseRow | undefined): Promise<void> {
  if (release === undefined) return;
  const withdrawn = await ports.vouching.judge(tx, release.document.signed, ports.clock.nowMs());
  if (withdrawn === null) return;
  const { model, version } = release;
  throw new CodedError(withdrawn.code, `devices would refuse ${model} ${version}: ${withdrawn.reason}`, {
    hint: `have it signed again by a publisher who may release it: fairlead releases sign ${model} ${version} --as PUBLISHER`,
    details: { releaseId: release.releaseId },
  });
}

export function createRolloutService(ports: RolloutPorts, wake: () => void): RolloutService {
  const { audit, clock, createId, store, stream } = ports;
  return {
    create: (spec, actor) =>
      store.transaction(async (tx) => {
        const release = await tx.releases.getLatest(spec.model, spec.version);
        if (release === undefined) {
          throw new CodedError("release_missing", `${spec.model} ${spec.version} has no release`, {
            hint: `sign it first: fairlead releases sign ${spec.model} ${spec.version}`,
          });
        }
        const nowMs = clock.nowMs();
        await requireVouched(ports, tx, release);
        await requireNotKnownBad(tx, spec, { actor, nowMs });
        const rolloutId = createId("rol");
        const { releaseId } = release;
        const labels = release.document.signed.content.classification?.labels.length ?? null;
        const fleet = await loadFleet(tx, { slot: spec.slot, selector: spec.selector, record: null });
        assertRolloutSpec(spec, { rolloutId, releaseId, labels, fleet });
        await assertNoOverlap(tx, spec);
        const row: RolloutRow = {
          ...{ rolloutId, slot: spec.slot, selector: spec.selector, state: "ready", createdBy: actor },
          ...{
            updatedAtMs: nowMs,
            revision: 1,
            record: createRollout({ rolloutId, spec, releaseId, createdAtMs: nowMs }),
          },
        };
        await tx.rollouts.add(row);
        await audit.append(tx, {
          ...{ actor, action: "rollout.create", subject: rolloutSubject(rolloutId) },
          ...{ reason: `${spec.model} ${spec.version} to "${spec.selector}"`, details: { spec, releaseId } },
        });
        await stream.emit(tx, "rollout", rolloutId);
        tx.afterCommit(wake);
        return await toStatus(tx, row);
      }),
    act: ({ rolloutId, action, actor, reason, ifMatch }) =>
      store.transaction(async (tx) => {
        const row = await requireRow(tx, rolloutId);
        if (ifMatch !== null && ifMatch !== String(row.revision)) {
          throw new CodedError("precondition_failed", "the rollout has changed since you looked", {
            hint: "look at it again, then repeat the action",
          });
        }
        const nowMs = clock.nowMs();
        if (action === "resume" || action === "promote" || action === "retry")
          await requireVouched(ports, tx, await tx.releases.get(row.record.releaseId));
        if (action === "undo" || action === "abort") await requireGoodWayBack(tx, row.record, { actor, nowMs });
        const record = applyRolloutAction(row.record, { action, actor, reason }, nowMs);
        const saved = await saveRecord(tx, row, { record, nowMs });
        await announceRollout(tx, ports, { before: row, after: record });
        await audit.append(tx, {
          ...{ actor, action: `rollout.${action}`, subject: rolloutSubject(rolloutId) },
          ...{ reason: reason === "" ? record.reason : reason, details: { before: row.state, after: record.state } },
        });
        await stream.emit(tx, "rollout", rolloutId);
        tx.afterCommit(wake);
        return await toStatus(tx, saved);
      }),
    get: async (rolloutId) => toStatus(store.read, await requireRow(store.read, rolloutId)),
    list: async (limit) => {
      const rows = await store.read.rollouts.list(limit);
      return Promise.all(rows.map((row) => toStatus(store.read, row)));
    },
  };
}
