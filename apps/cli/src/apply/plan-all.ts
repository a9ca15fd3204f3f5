import type { InspectionErrorCode } from "@fairlead/inference/inspect";
import type { ClientErrorCode } from "@fairlead/client";
import { hasErrorCode, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { RolloutSpec } from "@fairlead/protocol";
import { CliError, type CliErrorCode } from "../errors.ts";
import { toSubject, type FleetDocument } from "./documents.ts";
import { planDocument } from "./plan.ts";
import type { Scope, Step } from "./step.ts";

export interface Refusal {
  readonly subject: string;
  readonly error: unknown;
}

/** What says something about one document, and not that the server cannot be asked at all. */
const ofDocuments = [
  ...(["usage", "file_unreadable", "trust_missing", "trust_refused", "key_unusable", "passphrase_missing"] as const),
  ...(["not_found", "version_exists", "release_missing", "gate_unfeedable"] as const),
  ...(["selector_empty", "rollout_in_progress", "rollout_ended", "validation_failed"] as const),
  ...(["not_onnx", "model_truncated", "external_data_refused", "unknown_operator", "unsupported_opset"] as const),
  ...(["model_too_complex", "tensor_malformed", "model_unreadable"] as const),
] satisfies readonly (CliErrorCode | ClientErrorCode | InspectionErrorCode)[];

/** Does it for each, in order, and collects what is wrong with some of them. */
async function tryEach<Item>(
  items: readonly Item[],
  toName: (item: Item) => string,
  visit: (item: Item, index: number) => Promise<void>,
): Promise<readonly Refusal[]> {
  const refusals: Refusal[] = [];
  for (const [index, item] of items.entries())
    try {
      await visit(item, index);
    } catch (error) {
      if (!ofDocuments.some((code) => hasErrorCode(error, code))) throw error;
      refusals.push({ subject: toName(item), error });
    }
  return refusals;
}

/** Reads the server for every document and decides; writes nothing. What is wrong with a document does not hide the next one. */
export async function planAll(
  documents: readonly FleetDocument[],
  scope: Omit<Scope, "before" | "begun" | "readReach">,
): Promise<{ readonly steps: readonly Step[]; readonly refusals: readonly Refusal[] }> {
  const steps: Step[] = [];
  const begun: RolloutSpec[] = [];
  let reach: Promise<string> | undefined;
  const readReach = () => (reach ??= scope.client.login.whoami().then(({ selector }) => selector ?? ""));
  const refusals = await tryEach(documents, toSubject, async (document, index) => {
    const step = await planDocument(document, { ...scope, before: documents.slice(0, index), begun, readReach });
    if (document.kind === "Rollout" && step.effect !== "unchanged") begun.push(document.spec);
    steps.push(step);
  });
  return { steps, refusals };
}

/** What the steps take beside the server: keys, and what opens them. */
export async function prepareAll(steps: readonly Step[]): Promise<readonly Refusal[]> {
  return await tryEach(
    steps.filter(({ effect }) => effect !== "unchanged"),
    ({ subject }) => subject,
    async (step) => await step.prepare?.(),
  );
}

const toHint = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "hint" in error && typeof error.hint === "string"
    ? error.hint
    : undefined;

/** All of them in one error, which ends with the exit code of the first. @throws CliError */
export function assertNone(refusals: readonly Refusal[]): void {
  const [first] = refusals;
  if (first === undefined) return;
  const lines = refusals.map(({ subject, error }) => {
    const hint = refusals.length === 1 ? undefined : toHint(error);
    return `${subject}: ${toErrorMessage(error)}${hint === undefined ? "" : ` (${hint})`}`;
  });
  const [message, ...more] = lines;
  const code = ofDocuments.find((known) => known === toErrorCode(first.error)) ?? "usage";
  const hint = refusals.length === 1 ? toHint(first.error) : undefined;
  throw new CliError(code, message ?? "", {
    ...{ cause: first.error, more: [...more, "nothing was changed"] },
    ...(hint === undefined ? {} : { hint }),
  });
}
