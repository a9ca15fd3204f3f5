import { ClientError } from "@fairlead/client";
import type { Classification, RolloutSpec, RolloutState, RolloutStatus } from "@fairlead/protocol";
import { toReleaseMissing } from "../models/find-version.ts";
import { toChangeLines, toChanges } from "./diff.ts";
import { toSubject, type DocumentOf } from "./documents.ts";
import { orNull, type Scope, type Step } from "./step.ts";

/** While one of these moves the slot, the plane begins no other. */
const live: readonly RolloutState[] = ["draft", "pending_approval", "ready", "running", "paused", "rolling_back"];

/** The newest rollout of the same slot and selector says what is wanted there now. */
function findNewest(rollouts: readonly RolloutStatus[], spec: RolloutSpec): RolloutStatus | null {
  const same = rollouts.filter((rollout) => rollout.spec.slot === spec.slot && rollout.spec.selector === spec.selector);
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

/** Devices may get the labels that select them from a document before this one. @throws ClientError `selector_empty` */
async function requireDevices({ selector }: RolloutSpec, { client, before }: Scope): Promise<void> {
  if (before.some(({ kind }) => kind === "DeviceLabels")) return;
  const devices = await client.devices.list({ selector });
  if (devices.some(({ lifecycle }) => lifecycle === "enrolled")) return;
  throw new ClientError(
    "selector_empty",
    `the selector "${selector}" names no device that may take part (${devices.length} match, none is enrolled)`,
    { hint: "change the selector or the devices' labels, or approve the devices first" },
  );
}

export async function planRollout(document: DocumentOf<"Rollout">, scope: Scope): Promise<Step> {
  const { client } = scope;
  const { spec } = document;
  const newest = findNewest(await client.rollouts.list(), spec);
  const changes = toChanges(newest?.spec, spec);
  const subject = toSubject(document);
  if (newest !== null && changes.length === 0)
    return { subject, effect: "unchanged", lines: [`  ${newest.rolloutId} ${newest.state}`], write: async () => null };
  requireClasses(spec, await requireRelease(spec, scope));
  await requireDevices(spec, scope);
  if (newest !== null && live.includes(newest.state))
    throw new ClientError("rollout_in_progress", `rollout ${newest.rolloutId} moves these devices now`, {
      hint: `wait for it, or end it with: fairlead rollouts abort ${newest.rolloutId}`,
    });
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
