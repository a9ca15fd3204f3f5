import { findTargetConflict } from "@fairlead/artifacts";
import { ClientError, type Client } from "@fairlead/client";
import {
  registerVersionRequestSchema,
  type BuildTarget,
  type ChoicePolicy,
  type Classification,
  type ModelVersionDetail,
  type RegisterVersionRequest,
} from "@fairlead/protocol";
import type { Streams } from "../output/output.ts";
import { toUsageError } from "../errors.ts";
import { measureArtifact, uploadArtifact, type LocalArtifact } from "./local-artifact.ts";

export interface PushPlan {
  readonly model: string;
  readonly version: string;
  readonly description: string;
  readonly builds: readonly { readonly path: string; readonly target: BuildTarget }[];
  readonly golden: string | null;
  readonly classification: Classification | null;
  readonly latencyP95Ms: number | null;
  /** How a device chooses among several builds that it can run; null leaves it to the device. */
  readonly choice: ChoicePolicy | null;
}

export interface PushUi {
  readonly streams: Streams;
  readonly quiet: boolean;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

export interface PushResult {
  readonly created: boolean;
  readonly detail: ModelVersionDetail;
}

/** The same builds for the same targets: a repeated push changes nothing. */
export function isSameVersion(detail: ModelVersionDetail, request: RegisterVersionRequest): boolean {
  const toKey = (build: { readonly digest: string; readonly target: BuildTarget }): string =>
    JSON.stringify([
      build.digest,
      build.target.arch ?? null,
      build.target.profiles ?? null,
      build.target.executionProviders,
    ]);
  const { content } = detail;
  const have = content.builds.map((build) => toKey({ digest: build.artifact.digest, target: build.target })).toSorted();
  const want = request.builds.map(toKey).toSorted();
  return (
    JSON.stringify(have) === JSON.stringify(want) &&
    (content.selfTest.golden?.digest ?? null) === request.selfTest.goldenDigest &&
    content.selfTest.latencyP95Ms === request.selfTest.latencyP95Ms &&
    content.description === request.description &&
    JSON.stringify(content.classification) === JSON.stringify(request.classification) &&
    content.choice?.objective === request.choice?.objective &&
    content.choice?.accuracyFloor === request.choice?.accuracyFloor
  );
}

const toldOf = {
  "same-file": ["are the same file for the same target", "remove one of them"],
  "no-choice": [
    "claim the same target",
    "say how a device chooses between them: --objective latency|energy|accuracy (choice: {objective: …} in a file), " +
      "or give them different --target",
  ],
} as const;

/** What the server would refuse, said before anything is uploaded, with the names of the files. */
function requireDistinctTargets(
  { choice }: PushPlan,
  builds: readonly { readonly artifact: LocalArtifact; readonly target: BuildTarget }[],
): void {
  const claims = builds.map(({ artifact: { digest }, target }) => ({ format: "onnx" as const, digest, target }));
  const conflict = findTargetConflict(claims, choice !== null);
  if (conflict === null) return;
  const paths = `${builds[conflict.first]?.artifact.path} and ${builds[conflict.second]?.artifact.path}`;
  const [what, hint] = toldOf[conflict.kind];
  throw new ClientError("duplicate_target", `${paths} ${what}`, { hint });
}

/** Local files to what would be registered. No network. */
export async function planVersion(
  plan: PushPlan,
): Promise<{ readonly artifacts: readonly LocalArtifact[]; readonly request: RegisterVersionRequest }> {
  const builds: { artifact: LocalArtifact; target: BuildTarget }[] = [];
  for (const { path, target } of plan.builds) builds.push({ artifact: await measureArtifact(path, "onnx"), target });
  requireDistinctTargets(plan, builds);
  const golden = plan.golden === null ? null : await measureArtifact(plan.golden, "golden");
  const parsed = registerVersionRequestSchema.safeParse({
    version: plan.version,
    description: plan.description,
    classification: plan.classification,
    builds: builds.map(({ artifact, target }) => ({ digest: artifact.digest, target })),
    selfTest: { goldenDigest: golden?.digest ?? null, latencyP95Ms: plan.latencyP95Ms },
    ...(plan.choice === null ? {} : { choice: plan.choice }),
  });
  if (!parsed.success)
    throw toUsageError(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "));
  return {
    artifacts: [...builds.map(({ artifact }) => artifact), ...(golden === null ? [] : [golden])],
    request: parsed.data,
  };
}

async function findVersion(client: Client, plan: PushPlan): Promise<ModelVersionDetail | null> {
  try {
    return await client.models.getVersion(plan.model, plan.version);
  } catch (error) {
    if (error instanceof ClientError && error.code === "not_found") return null;
    throw error;
  }
}

/** Uploads what the server lacks, then registers. A version that is there with the same content is left alone. */
export async function pushVersion(client: Client, plan: PushPlan, ui: PushUi): Promise<PushResult> {
  const { artifacts, request } = await planVersion(plan);
  const existing = await findVersion(client, plan);
  if (existing !== null) {
    if (isSameVersion(existing, request)) return { created: false, detail: existing };
    throw new ClientError("version_exists", `${plan.model} ${plan.version} exists with other content`, {
      hint: "a version never changes: push it under the next version number",
    });
  }
  for (const artifact of artifacts) {
    const sent = await uploadArtifact(client, artifact, ui);
    ui.say(`${artifact.path}: ${sent ? "uploaded" : "the server has it"} (${artifact.digest.slice(0, 19)}…)`);
  }
  return { created: true, detail: await client.models.registerVersion(plan.model, request) };
}
