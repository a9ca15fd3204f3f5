import { realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { ClientError } from "@fairlead/client";
import { InspectionError, inspectOnnxFile } from "@fairlead/inference/inspect";
import { findDevice } from "../commands/devices/get.ts";
import { CliError } from "../errors.ts";
import { isSameVersion, planVersion, pushVersion, type PushPlan } from "../models/push.ts";
import { tryToSign } from "../trust/change-targets.ts";
import { signRelease } from "../trust/sign-release.ts";
import { toChangeLines, toChanges } from "./diff.ts";
import { toSubject, type DocumentOf, type FleetDocument } from "./documents.ts";
import { planRollout } from "./plan-rollout.ts";
import { orNull, type Scope, type Step } from "./step.ts";

/** What the plane would refuse after the upload is seen here before it. @throws InspectionError */
async function inspectBuild(path: string): Promise<void> {
  try {
    await inspectOnnxFile(realpathSync(path));
  } catch (error) {
    if (!(error instanceof InspectionError)) throw error;
    throw new InspectionError(error.code, `${path}: ${error.message}`, error);
  }
}

async function planModelVersion(document: DocumentOf<"ModelVersion">, scope: Scope): Promise<Step> {
  const { client, file } = scope;
  const { spec } = document;
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
  if (existing === null) for (const { path } of plan.builds) await inspectBuild(path);
  const needsRelease = spec.release && (existing === null || existing.release === null);
  const lines = [
    ...(existing === null ? request.builds.map((build) => `  + build ${build.digest}`) : []),
    ...(needsRelease ? ["  + release"] : []),
  ];
  return {
    subject: toSubject(document),
    effect: existing === null ? "create" : needsRelease ? "change" : "unchanged",
    lines,
    prepare: async () => {
      if (needsRelease) await tryToSign(scope.workplace(), "publisher");
    },
    write: async (tell) => {
      if (existing === null) await pushVersion(client, plan, scope.ui);
      if (!needsRelease) return null;
      tell("registered, and not released");
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

/** What an entry says was made; entries of the first versions had it among their details. */
function toMade(details: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { after } = details;
  return typeof after === "object" && after !== null ? (after as Readonly<Record<string, unknown>>) : details;
}

/** Who may apply a file may be somebody who does not see tokens. */
async function readUsesLeft(client: Scope["client"], tokenId: string): Promise<string> {
  const tokens = await client.enrolments.listTokens().catch((error: unknown) => {
    if (error instanceof ClientError && error.code === "forbidden") return null;
    throw error;
  });
  if (tokens === null) return "made before; how many uses it has left is not yours to see";
  return `${tokens.find((token) => token.tokenId === tokenId)?.usesLeft ?? 0} uses left`;
}

/** A token's secret is shown once and kept nowhere; that it was made stands in the audit log, under its description. */
async function planToken(document: DocumentOf<"EnrolmentToken">, { client, nowMs }: Scope): Promise<Step> {
  const { spec } = document;
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
  const subject = toSubject(document);
  if (made !== undefined)
    return {
      subject,
      effect: "unchanged",
      lines: [`  ${made.subject}, ${await readUsesLeft(client, made.subject)}`],
      write: async () => null,
    };
  return {
    subject,
    effect: "create",
    lines: [`  + ${uses} uses, ${autoApprove ? "approved at once" : "each device is approved by an operator"}`],
    write: async () => (await client.enrolments.createToken(spec)).token,
    isShownOnce: true,
  };
}

async function planLabels(document: DocumentOf<"DeviceLabels">, { client }: Scope): Promise<Step> {
  const { spec } = document;
  const device = await findDevice(client, spec.device);
  const changes = toChanges(device.labels, spec.labels);
  return {
    subject: toSubject(document),
    effect: changes.length === 0 ? "unchanged" : "change",
    lines: toChangeLines(changes),
    write: async () => {
      // Other documents were written since, and the device has spoken: only its labels must be the same.
      const now = await client.devices.getTagged(spec.device);
      if (toChanges(device.labels, now.value.labels).length > 0)
        throw new ClientError("precondition_failed", `somebody changed the labels of ${spec.device} meanwhile`, {
          hint: "look at them again, then apply once more",
        });
      await client.devices.setLabels(spec.device, spec.labels, now.etag);
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
