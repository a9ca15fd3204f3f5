import { CodedError } from "@fairlead/kernel";
import {
  isSelected,
  parseSelector,
  type HttpErrorCode,
  type RolloutAction,
  type RolloutState,
  type RolloutSpec,
  type RolloutStatus,
  type RolloutSummary,
  toSelectableLabels,
} from "@fairlead/protocol";
import {
  applyRolloutAction,
  assertRolloutSpec,
  createRollout,
  toRolloutStatus,
  type FleetDevice,
} from "@fairlead/rollout";
import type { ReleaseRow, Repositories, RolloutRow, Transaction } from "@fairlead/store";
import { areTwoPeople, findPerson } from "../authority/person.ts";
import { narrowSelector, type Scope } from "../authority/scope.ts";
import { createScopeView, listKept } from "../authority/scope-view.ts";
import { announceRollout } from "./announce.ts";
import { rolloutSubject, saveRecord } from "./controller.ts";
import { requireModestSize } from "../registry/check-version.ts";
import { loadFleet, loadRecorded } from "./fleet.ts";
import { requireGoodWayBack, requireNotKnownBad } from "./known-bad.ts";
import type { RolloutPorts } from "./ports.ts";
import { toStanding } from "./standing.ts";
import type { Asker } from "../context.ts";

export interface ActOptions extends Asker {
  readonly rolloutId: string;
  readonly action: RolloutAction;
  readonly scope: Scope;
  /** The stage that a promotion is meant for. */
  readonly stage?: string | undefined;
  readonly reason: string;
  /** Refused when the rollout has changed since this entity tag; null = whatever it is now. */
  readonly ifMatch: string | null;
}

export interface RolloutService {
  /** The selector is narrowed to the scope of whoever creates it, so that devices which join later match both too. */
  create(spec: RolloutSpec, by: Asker & { readonly scope: Scope }): Promise<RolloutStatus>;
  act(options: ActOptions): Promise<RolloutStatus>;
  get(rolloutId: string, scope: Scope): Promise<RolloutStatus>;
  /** Newest first, beginning before the id `before`. */
  list(page: { readonly limit: number; readonly before: string | undefined }, scope: Scope): Promise<RolloutSummary[]>;
}

export async function toStatus(from: Repositories, row: RolloutRow): Promise<RolloutStatus> {
  const parts = toRolloutStatus({ record: row.record, fleet: await loadRecorded(from, row.record) });
  return { ...parts, createdBy: row.createdBy, updatedAtMs: row.updatedAtMs, etag: String(row.revision) };
}

/** Two rollouts that move the same slot of the same device would fight; the second waits for the first. */
async function assertNoOverlap(tx: Transaction, spec: RolloutSpec): Promise<void> {
  const selector = parseSelector(spec.selector);
  const devices = (await tx.devices.listSelectable()).filter((device) =>
    isSelected(selector, toSelectableLabels(device)),
  );
  for (const row of await tx.rollouts.listLivePlaces()) {
    if (row.slot !== spec.slot || row.state === "succeeded") continue;
    const other = parseSelector(row.selector);
    const shared = devices.find((device) => isSelected(other, toSelectableLabels(device)));
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

/** One with a device outside the caller's scope does not exist for it. */
async function requireRow(from: Repositories, rolloutId: string, scope: Scope): Promise<RolloutRow> {
  const row = await from.rollouts.get(rolloutId);
  if (row !== undefined && (await createScopeView(from, scope).hasRollout(row))) return row;
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

const toLabelCount = ({ document }: ReleaseRow): number | null =>
  document.signed.content.classification?.labels.length ?? null;

/** How many classes each release has that a device runs, so that a control is known to measure them. */
async function loadLabelsOf(
  tx: Transaction,
  fleet: readonly FleetDevice[],
): Promise<ReadonlyMap<string, number | null>> {
  const labelsOf = new Map<string, number | null>();
  for (const releaseId of new Set(fleet.flatMap(({ running }) => running?.releaseId ?? []))) {
    const release = await tx.releases.get(releaseId);
    if (release !== undefined) labelsOf.set(releaseId, toLabelCount(release));
  }
  return labelsOf;
}

const begun: readonly RolloutState[] = ["running", "paused"];

/** Another token of the same person is no second person. @throws CodedError `forbidden` */
async function requireSecondPerson(tx: Transaction, { createdBy }: RolloutRow, actor: string): Promise<void> {
  if (areTwoPeople(await findPerson(tx, createdBy), await findPerson(tx, actor))) return;
  throw new CodedError<HttpErrorCode>("forbidden", "whoever creates a rollout does not approve or promote it", {
    hint: "ask somebody else; you may pause or abort it; a token names whose it is: fairlead tokens create --person NAME",
    details: { actor },
  });
}

/** @throws CodedError `transition_refused` */
function requirePromotable(row: RolloutRow, { stage, ifMatch }: ActOptions): void {
  if (begun.includes(row.state) && stage === undefined && ifMatch === null)
    throw new CodedError<HttpErrorCode>("transition_refused", "a promotion must say which stage it is meant for", {
      hint: "send the stage's name, or the entity tag that you saw",
    });
}

export function createRolloutService(ports: RolloutPorts, wake: () => void): RolloutService {
  const { audit, clock, createId, store, stream } = ports;
  return {
    create: (wanted, { actor, from, scope }) =>
      store.transaction(async (tx) => {
        const spec = { ...wanted, selector: narrowSelector(scope, wanted.selector) };
        const release = await tx.releases.getLatest(spec.model, spec.version);
        if (release === undefined) {
          throw new CodedError("release_missing", `${spec.model} ${spec.version} has no release`, {
            hint: `sign it first: fairlead releases sign ${spec.model} ${spec.version}`,
          });
        }
        const nowMs = clock.nowMs();
        requireModestSize(release.document.signed.content);
        await requireVouched(ports, tx, release);
        await requireNotKnownBad(tx, spec, { actor, nowMs });
        const rolloutId = createId("rol");
        const { releaseId } = release;
        const labels = toLabelCount(release);
        const fleet = await loadFleet(tx, { slot: spec.slot, selector: spec.selector, record: null });
        assertRolloutSpec(spec, { rolloutId, releaseId, labels, labelsOf: await loadLabelsOf(tx, fleet), fleet });
        await assertNoOverlap(tx, spec);
        const state = ports.fourEyes ? ("pending_approval" as const) : ("ready" as const);
        const row: RolloutRow = {
          ...{ rolloutId, slot: spec.slot, selector: spec.selector, state, createdBy: actor },
          ...{
            updatedAtMs: nowMs,
            revision: 1,
            record: createRollout({ rolloutId, spec, releaseId, createdAtMs: nowMs, state }),
          },
        };
        await tx.rollouts.add(row);
        await audit.append(tx, {
          ...{ actor, from, action: "rollout.create", subject: rolloutSubject(rolloutId) },
          ...{ reason: `${spec.model} ${spec.version} to "${spec.selector}"` },
          change: { before: null, after: { state, spec, releaseId } },
        });
        await stream.emit(tx, "rollout", rolloutId);
        tx.afterCommit(wake);
        return await toStatus(tx, row);
      }),
    act: (request) =>
      store.transaction(async (tx) => {
        const { rolloutId, action, actor, from, scope, stage, reason, ifMatch } = request;
        const row = await requireRow(tx, rolloutId, scope);
        if (ifMatch !== null && ifMatch !== String(row.revision)) {
          throw new CodedError("precondition_failed", "the rollout has changed since you looked", {
            hint: "look at it again, then repeat the action",
          });
        }
        const nowMs = clock.nowMs();
        if (action === "resume" || action === "promote" || action === "retry")
          await requireVouched(ports, tx, await tx.releases.get(row.record.releaseId));
        if (action === "undo" || action === "abort") await requireGoodWayBack(tx, row.record, { actor, nowMs });
        if (action === "promote") {
          if (ports.fourEyes) await requireSecondPerson(tx, row, actor);
          requirePromotable(row, request);
        }
        const record = applyRolloutAction(row.record, { action, actor, reason, stage }, nowMs);
        // While it waited for approval, another one may have begun.
        if (row.state === "pending_approval" && record.state === "ready") await assertNoOverlap(tx, row.record.spec);
        const saved = await saveRecord(tx, row, { record, nowMs });
        await announceRollout(tx, ports, { before: row, after: record });
        await audit.append(tx, {
          ...{ actor, from, action: `rollout.${action}`, subject: rolloutSubject(rolloutId) },
          ...{ reason: reason === "" ? record.reason : reason, details: stage === undefined ? {} : { stage } },
          change: { before: toStanding(row.record), after: toStanding(record) },
        });
        await stream.emit(tx, "rollout", rolloutId);
        tx.afterCommit(wake);
        return await toStatus(tx, saved);
      }),
    get: async (rolloutId, scope) => toStatus(store.read, await requireRow(store.read, rolloutId, scope)),
    list: async ({ limit, before }, scope) => {
      const view = createScopeView(store.read, scope);
      const rows = await listKept(
        limit,
        (size, offset) => store.read.rollouts.list({ limit: size, offset, before }),
        (row) => view.hasRollout(row),
      );
      return Promise.all(
        rows.map(async (row) => {
          const { devices: _devices, ...summary } = await toStatus(store.read, row);
          return summary;
        }),
      );
    },
  };
}
