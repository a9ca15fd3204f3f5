import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import { isForCause, isTouched, type Decision, type RolloutRecord } from "@fairlead/rollout";
import type { KnownBadVersionRow, Repositories, Transaction } from "@fairlead/store";
import { areTwoPeople, findPerson } from "../authority/person.ts";
import { toOwnDecision } from "../audit/own-decision.ts";
import type { Asker, AuditLog } from "../context.ts";
import type { RolloutPorts } from "./ports.ts";

const dayMs = 86_400_000;
/** For how long an acceptance counts: it is given for a rollout that is about to be made. */
const acceptanceLifeMs = dayMs;

interface Inquirer {
  readonly actor: string;
  readonly nowMs: number;
}

const toVerdict = ({ rolloutId, acceptedBy }: KnownBadVersionRow) => ({ rolloutId, acceptedBy });

/** A stage that failed because of what its version did leaves a verdict on the version. */
export async function noteVerdict(
  tx: Transaction,
  record: RolloutRecord,
  { decision, nowMs, audit }: { readonly decision: Decision; readonly nowMs: number; readonly audit: AuditLog },
): Promise<void> {
  if (decision.kind !== "fail-stage" || !isForCause(decision.code)) return;
  const { rolloutId, releaseId, spec } = record;
  const before = await tx.knownBad.get(spec.model, spec.version);
  await audit.append(tx, {
    ...{ ...toOwnDecision("rollouts"), action: "release.note-known-bad", subject: `${spec.model}@${spec.version}` },
    ...{ reason: decision.reason, details: { rolloutId, code: decision.code } },
    change: { before: before === undefined ? null : toVerdict(before), after: { rolloutId, acceptedBy: null } },
  });
  await tx.knownBad.save({
    ...{ model: spec.model, version: spec.version, releaseId, rolloutId },
    ...{ code: decision.code, reason: decision.reason.slice(0, 500), judgedAtMs: nowMs },
    ...{ acceptedBy: null, acceptedAtMs: null, acceptedReason: null },
  });
}

/** Whether it was accepted in time, and by somebody else than who asks now. */
async function judgeAcceptance(
  from: Repositories,
  { acceptedBy, acceptedAtMs }: KnownBadVersionRow,
  { actor, nowMs }: Inquirer,
): Promise<"accepted" | "own" | "none"> {
  if (acceptedBy === null || acceptedAtMs === null) return "none";
  if (!areTwoPeople(await findPerson(from, acceptedBy), await findPerson(from, actor))) return "own";
  return nowMs - acceptedAtMs <= acceptanceLifeMs ? "accepted" : "none";
}

/** @throws CodedError `release_known_bad` */
export async function requireNotKnownBad(
  from: Repositories,
  { model, version }: { readonly model: string; readonly version: string },
  asker: Inquirer,
): Promise<void> {
  const verdict = await from.knownBad.get(model, version);
  if (verdict === undefined) return;
  const acceptance = await judgeAcceptance(from, verdict, asker);
  if (acceptance === "accepted") return;
  const { code, reason, rolloutId, judgedAtMs } = verdict;
  const own = acceptance === "own" ? "; who accepts it cannot be the one who rolls it out" : "";
  throw new CodedError<HttpErrorCode>(
    "release_known_bad",
    `${model} ${version} failed in rollout ${rolloutId}: ${reason}${own}`.slice(0, 500),
    {
      hint: `another person, who may approve, accepts it first: fairlead releases accept-known-bad ${model} ${version} --reason TEXT`,
      details: { rolloutId, code, judgedAtMs },
    },
  );
}

/** Where a rollout would go back to: every version that a touched device ran before. @throws CodedError `release_known_bad` */
export async function requireGoodWayBack(tx: Transaction, record: RolloutRecord, asker: Inquirer): Promise<void> {
  const ids = record.devices.filter(isTouched).flatMap(({ previous }) => previous?.releaseId ?? []);
  for (const row of await tx.releases.listOf([...new Set(ids)].slice(0, 1_000)))
    await requireNotKnownBad(tx, row, asker);
}

export interface Acceptance extends Asker {
  readonly model: string;
  readonly version: string;
  readonly reason: string;
}

/** A second person's word that a version may run although it failed. @throws CodedError `not_found` */
export async function acceptKnownBad(
  { audit, clock, store, stream }: Pick<RolloutPorts, "audit" | "clock" | "store" | "stream">,
  { model, version, actor, from, reason }: Acceptance,
): Promise<KnownBadVersionRow> {
  return await store.transaction(async (tx) => {
    const before = await tx.knownBad.get(model, version);
    if (before === undefined)
      throw new CodedError<HttpErrorCode>("not_found", `${model} ${version} is not known to be bad`, {
        hint: "nothing needs to be accepted: fairlead rollouts create",
      });
    const row = { ...before, acceptedBy: actor, acceptedAtMs: clock.nowMs(), acceptedReason: reason };
    await tx.knownBad.save(row);
    await audit.append(tx, {
      ...{ actor, from, action: "release.accept-known-bad", subject: `${model}@${version}`, reason },
      change: { before: { acceptedBy: before.acceptedBy }, after: { acceptedBy: actor } },
      details: { rolloutId: before.rolloutId, code: before.code },
    });
    await stream.emit(tx, "model", `${model}@${version}`);
    return row;
  });
}
