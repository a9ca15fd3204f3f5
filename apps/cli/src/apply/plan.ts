import { dirname, resolve } from "node:path";
import { ClientError, type Client } from "@fairlead/client";
import type { RolloutStatus } from "@fairlead/protocol";
import { CliError } from "../errors.ts";
import { isSameVersion, planVersion, pushVersion, type PushPlan, type PushUi } from "../models/push.ts";
import { toChangeLines, toChanges } from "./diff.ts";
import type { FleetDocument } from "./documents.ts";
import { signRelease } from "../trust/sign-release.ts";
import type { Workplace } from "../trust/workplace.ts";

export type Effect = "create" | "change" | "unchanged";

/** What one document means for the server: shown by `--dry-run`, done by `write`. */
export interface Step {
  readonly subject: string;
  readonly effect: Effect;
  readonly lines: readonly string[];
  /** Text for the user, such as a secret that is shown once; null when there is nothing to say. */
  readonly write: () => Promise<string | null>;
}

interface Scope {
  readonly client: Client;
  readonly file: string;
  readonly ui: PushUi;
  readonly nowMs: number;
  /** Opened only when something is to be signed. */
  readonly workplace: () => Workplace;
}

const orNull = async <Found>(find: () => Promise<Found>): Promise<Found | null> => {
  try {
    return await find();
  } catch (error) {
    if (error instanceof ClientError && error.code === "not_found") return null;
    throw error;
  }
};

type DocumentOf<Kind extends FleetDocument["kind"]> = Extract<FleetDocument, { kind: Kind }>;

async function planModelVersion({ spec }: DocumentOf<"ModelVersion">, scope: Scope): Promise<Step> {
  const { client, file } = scope;
  const inFolder = (path: string): string => resolve(dirname(resolve(file)), path);
  const plan: PushPlan = {
    ...spec,
    builds: spec.builds.map((build) => ({ path: inFolder(build.file), target: build.target })),
    golden: spec.golden === null ? null : inFolder(spec.golden),
  };
  const { request } = await planVersion(plan);
  const existing = await orNull(() => client.models.getVersion(spec.model, spec.version));
  if (existing !== null && !isSameVersion(existing, request))
    throw new CliError("usage", `${spec.model} ${spec.version} exists with other content`, {
      hint: "a version never changes: raise the version number",
    });
  const needsRelease = spec.release && (existing === null || existing.release === null);
  const lines = [
    ...(existing === null ? request.builds.map((build) => `  + build ${build.digest}`) : []),
    ...(needsRelease ? ["  + release"] : []),
  ];
  return {
    subject: `ModelVersion ${spec.model} ${spec.version}`,
    effect: existing === null ? "create" : needsRelease ? "change" : "unchanged",
    lines,
    write: async () => {
      if (existing === null) await pushVersion(client, plan, scope.ui);
      if (!needsRelease) return null;
      const release = await signRelease(async () => client, scope.workplace(), {
        content: null,
        ...{ model: spec.model, version: spec.version, publisher: "publisher", audience: null, tenant: "default" },
        expiresAtMs: scope.workplace().nowMs + 365 * 86_400_000,
        notBeforeMs: null,
        publish: true,
      });
      return `release ${release.releaseId}`;
    },
  };
}

/** The newest rollout of the same slot and selector says what is wanted there now. */
function findNewest(rollouts: readonly RolloutStatus[], spec: RolloutStatus["spec"]): RolloutStatus | null {
  const same = rollouts.filter((rollout) => rollout.spec.slot === spec.slot && rollout.spec.selector === spec.selector);
  return same.toSorted((left, right) => right.createdAtMs - left.createdAtMs)[0] ?? null;
}

async function planRollout({ spec }: DocumentOf<"Rollout">, { client }: Scope): Promise<Step> {
  const newest = findNewest(await client.rollouts.list(), spec);
  const changes = toChanges(newest?.spec, spec);
  const subject = `Rollout ${spec.model} ${spec.version} → ${spec.slot} (${spec.selector})`;
  if (newest !== null && changes.length === 0)
    return { subject, effect: "unchanged", lines: [`  ${newest.rolloutId} ${newest.state}`], write: async () => null };
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

/** What an entry says was made; entries of the first versions had it among their details. */
function toMade(details: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { after } = details;
  return typeof after === "object" && after !== null ? (after as Readonly<Record<string, unknown>>) : details;
}

/** A token's secret is shown once and kept nowhere; that it was made stands in the audit log, under its description. */
async function planToken({ spec }: DocumentOf<"EnrolmentToken">, { client, nowMs }: Scope): Promise<Step> {
  const { description, uses, autoApprove, labels, profile } = spec;
  const made = (await client.observations.listAudit()).find(({ action, reason, details }) => {
    if (action !== "enrolment-token.create" || reason !== description) return false;
    const token = toMade(details);
    const facts = { uses: token["uses"], autoApprove: token["autoApprove"], labels: token["labels"] };
    // Entries of before know no profile.
    const all = { ...facts, profile: token["profile"] ?? null };
    const isSame = toChanges(all, { uses, autoApprove, labels, profile }).length === 0;
    return Number(token["expiresAtMs"]) > nowMs && isSame;
  });
  const subject = `EnrolmentToken ${description}`;
  if (made !== undefined)
    return { subject, effect: "unchanged", lines: [`  ${made.subject} is valid`], write: async () => null };
  return {
    subject,
    effect: "create",
    lines: [`  + ${uses} uses, ${autoApprove ? "approved at once" : "each device is approved by an operator"}`],
    write: async () => (await client.enrolments.createToken(spec)).token,
  };
}

async function planLabels({ spec }: DocumentOf<"DeviceLabels">, { client }: Scope): Promise<Step> {
  const { value: device, etag } = await client.devices.getTagged(spec.device);
  const changes = toChanges(device.labels, spec.labels);
  return {
    subject: `DeviceLabels ${spec.device}`,
    effect: changes.length === 0 ? "unchanged" : "change",
    lines: toChangeLines(changes),
    write: async () => {
      await client.devices.setLabels(spec.device, spec.labels, etag);
      return null;
    },
  };
}

/** Reads the server and decides; writes nothing. */
export function planDocument(document: FleetDocument, scope: Scope): Promise<Step> {
  switch (document.kind) {
    case "ModelVersion":
      return planModelVersion(document, scope);
    case "Rollout":
      return planRollout(document, scope);
    case "EnrolmentToken":
      return planToken(document, scope);
    case "DeviceLabels":
      return planLabels(document, scope);
  }
}
