import { ClientError } from "@fairlead/client";
import {
  isSelected,
  parseSelector,
  toSelectableLabels,
  type Classification,
  type Labels,
  type RolloutSpec,
  type RolloutState,
  type RolloutSummary,
} from "@fairlead/protocol";
import { CliError } from "../errors.ts";
import { toReleaseMissing } from "../models/find-version.ts";
import { toChangeLines, toChanges } from "./diff.ts";
import { toSubject, type DocumentOf } from "./documents.ts";
import { orNull, type Scope, type Step } from "./step.ts";

/** While one of these moves a device's slot, no other rollout of the slot may have the device. */
const moving: readonly RolloutState[] = ["ready", "running", "paused", "rolling_back"];
/** Beside one of these, the same is not asked for again. */
const live: readonly RolloutState[] = ["draft", "pending_approval", ...moving];
const ended: readonly RolloutState[] = ["failed", "canceled", "rolled_back", "rollback_failed"];

/** A selector whatever the order of its terms. */
function toTerms(selector: string): string {
  const terms = parseSelector(selector).map((term) => JSON.stringify(term));
  return [...new Set(terms)].toSorted().join(" ");
}

/** The newest rollout of the same slot and selector, which the server narrows to what the token reaches, says what is wanted there now. */
function findNewest(
  rollouts: readonly RolloutSummary[],
  { slot, selector }: RolloutSpec,
  reach: string,
): RolloutSummary | null {
  const narrowed = toTerms([selector, reach].filter((text) => text.trim() !== "").join(","));
  const same = rollouts.filter(
    ({ spec }) => spec.slot === slot && (spec.selector === selector || toTerms(spec.selector) === narrowed),
  );
  return same.toSorted((left, right) => right.createdAtMs - left.createdAtMs)[0] ?? null;
}

/** The classes of what is rolled out: released by a document before this one, or on the server. @throws ClientError `release_missing` */
async function requireRelease(
  { model, version }: RolloutSpec,
  { client, before }: Scope,
): Promise<Classification | null> {
  for (const { kind, spec } of before)
    if (kind === "ModelVersion" && spec.model === model && spec.version === version && spec.release)
      return spec.classification;
  const found = await orNull(() => client.models.getVersion(model, version));
  if (found !== null && found.release !== null) return found.content.classification;
  if (before.some(({ kind, spec }) => kind === "ModelVersion" && spec.model === model && spec.version === version))
    throw new ClientError("release_missing", `${model} ${version} has no release`, {
      hint: "say release: true in its document",
    });
  throw await toReleaseMissing(client, model, version);
}

/** @throws ClientError `gate_unfeedable` */
function requireClasses({ stages }: RolloutSpec, classification: Classification | null): void {
  if (classification !== null) return;
  const stage = stages.find(({ gates }) => gates.some(({ kind }) => kind === "confidence" || kind === "drift"));
  if (stage === undefined) return;
  throw new ClientError(
    "gate_unfeedable",
    `stage ${stage.name} gates on confidence or drift, and the version names no classification output`,
    { hint: "register the version with classification: { output, labels }, or gate on errors, latency and self-test" },
  );
}

/** What the rollout's selector names once the documents before this one are applied, and its labels then. */
async function loadSelected({ selector }: RolloutSpec, { client, before }: Scope): Promise<Map<string, Labels>> {
  const devices = await client.devices.list({ selector });
  const selected = new Map(devices.map((seen) => [seen.device, toSelectableLabels(seen)]));
  for (const { kind, spec } of before) {
    if (kind !== "DeviceLabels") continue;
    if (isSelected(parseSelector(selector), spec.labels)) selected.set(spec.device, spec.labels);
    else selected.delete(spec.device);
  }
  if (devices.some(({ lifecycle }) => lifecycle === "enrolled") || before.some(({ kind }) => kind === "DeviceLabels"))
    return selected;
  throw new ClientError(
    "selector_empty",
    `the selector "${selector}" names no device that may take part (${devices.length} match, none is enrolled)`,
    { hint: "change the selector or the devices' labels, or approve the devices first" },
  );
}

/** The plane lets one rollout at a time move a slot of a device. @throws ClientError `rollout_in_progress` */
function requireFree(
  { slot }: RolloutSpec,
  selected: ReadonlyMap<string, Labels>,
  { rollouts, begun }: { readonly rollouts: readonly RolloutSummary[]; readonly begun: readonly RolloutSpec[] },
): void {
  const findShared = (spec: RolloutSpec): string | undefined => {
    const selector = parseSelector(spec.selector);
    return spec.slot === slot ? [...selected].find(([, labels]) => isSelected(selector, labels))?.[0] : undefined;
  };
  for (const { rolloutId, spec } of rollouts.filter(({ state }) => moving.includes(state))) {
    const device = findShared(spec);
    if (device === undefined) continue;
    throw new ClientError("rollout_in_progress", `rollout ${rolloutId} moves slot ${slot} of ${device} now`, {
      hint: `wait for it, or end it with: fairlead rollouts abort ${rolloutId}`,
    });
  }
  for (const spec of begun) {
    const device = findShared(spec);
    if (device === undefined) continue;
    throw new ClientError(
      "rollout_in_progress",
      `the rollout to "${spec.selector}" begins with this file too, and would move slot ${slot} of ${device} at the same time`,
      { hint: "apply it alone first and this one when it has ended, or give them devices of their own" },
    );
  }
}

/** What was asked for has been tried, and is not there. @throws CliError `rollout_ended` */
function requireNotEnded({ rolloutId, state, reason }: RolloutSummary): void {
  if (!ended.includes(state)) return;
  const hint =
    state === "rollback_failed"
      ? `have the devices go back first: fairlead rollouts retry ${rolloutId}`
      : `see what happened: fairlead rollouts status ${rolloutId}; then change the document, or begin it again: fairlead rollouts create`;
  throw new CliError("rollout_ended", `rollout ${rolloutId} of this ended without success: ${reason}`, {
    hint,
  });
}

export async function planRollout(document: DocumentOf<"Rollout">, scope: Scope): Promise<Step> {
  const { client } = scope;
  const { spec } = document;
  const rollouts = await client.rollouts.list();
  const newest = findNewest(rollouts, spec, await scope.readReach());
  const changes = toChanges(newest === null ? undefined : { ...newest.spec, selector: spec.selector }, spec);
  const subject = toSubject(document);
  if (newest !== null && changes.length === 0) {
    requireNotEnded(newest);
    return { subject, effect: "unchanged", lines: [`  ${newest.rolloutId} ${newest.state}`], write: async () => null };
  }
  requireClasses(spec, await requireRelease(spec, scope));
  const selected = await loadSelected(spec, scope);
  if (newest !== null && live.includes(newest.state))
    throw new ClientError("rollout_in_progress", `rollout ${newest.rolloutId} moves these devices now`, {
      hint: `wait for it, or end it with: fairlead rollouts abort ${newest.rolloutId}`,
    });
  requireFree(spec, selected, { rollouts, begun: scope.begun });
  return {
    subject,
    effect: newest === null ? "create" : "change",
    lines: newest === null ? [`  + ${spec.stages.map((stage) => stage.name).join(" → ")}`] : toChangeLines(changes),
    write: async () => {
      const created = await client.rollouts.create(spec);
      return `${created.rolloutId}; next: fairlead rollouts status ${created.rolloutId}`;
    },
  };
}
