import { readFileSync } from "node:fs";
import {
  buildTargetSchema,
  choicePolicySchema,
  classificationSchema,
  createTokenRequestSchema,
  deviceIdSchema,
  labelsSchema,
  modelNameSchema,
  rolloutSpecSchema,
  versionSchema,
} from "@fairlead/protocol";
import { parseAllDocuments } from "yaml";
import * as z from "zod";
import { CliError } from "../errors.ts";
import { checkRolloutForm } from "../rollouts/check-form.ts";
import { suggestName } from "../suggest.ts";

const head = { apiVersion: z.literal("fairlead/v1") };
const path = z.string().min(1).max(4_096);

/** Files are relative to the document's folder. */
const modelVersionDocument = z.strictObject({
  ...head,
  kind: z.literal("ModelVersion"),
  spec: z.strictObject({
    model: modelNameSchema,
    version: versionSchema,
    description: z.string().max(2_000).default(""),
    builds: z
      .array(z.strictObject({ file: path, target: buildTargetSchema.prefault({}) }))
      .min(1)
      .max(32),
    golden: path.nullable().default(null),
    classification: classificationSchema.nullable().default(null),
    latencyP95Ms: z.number().positive().max(600_000).nullable().default(null),
    choice: choicePolicySchema.nullable().default(null),
    /** Also sign a release. */
    release: z.boolean().default(false),
  }),
});
const rolloutDocument = z.strictObject({ ...head, kind: z.literal("Rollout"), spec: rolloutSpecSchema });
/** The description tells a token that was made before from a new one. */
const tokenSpec = createTokenRequestSchema.extend({ description: z.string().min(1).max(200) });
const tokenDocument = z.strictObject({ ...head, kind: z.literal("EnrolmentToken"), spec: tokenSpec });
/** States every label of the device: others are removed. */
const labelsDocument = z.strictObject({
  ...head,
  kind: z.literal("DeviceLabels"),
  spec: z.strictObject({ device: deviceIdSchema, labels: labelsSchema }),
});
export const fleetDocumentSchema = z.discriminatedUnion("kind", [
  modelVersionDocument,
  rolloutDocument,
  tokenDocument,
  labelsDocument,
]);
export type FleetDocument = z.infer<typeof fleetDocumentSchema>;
export type DocumentOf<Kind extends FleetDocument["kind"]> = Extract<FleetDocument, { kind: Kind }>;
export const documentKinds = ["ModelVersion", "Rollout", "EnrolmentToken", "DeviceLabels"] as const;

/** What a document is about, for people. */
export function toSubject({ kind, spec }: FleetDocument): string {
  switch (kind) {
    case "ModelVersion":
      return `ModelVersion ${spec.model} ${spec.version}`;
    case "Rollout":
      return `Rollout ${spec.model} ${spec.version} → ${spec.slot} (${spec.selector})`;
    case "EnrolmentToken":
      return `EnrolmentToken ${spec.description}`;
    case "DeviceLabels":
      return `DeviceLabels ${spec.device}`;
  }
}

/** Two documents that say this of the same thing contradict or repeat each other. */
const toPlace = (document: FleetDocument): string =>
  document.kind === "Rollout"
    ? `a rollout of slot ${document.spec.slot} to "${document.spec.selector}"`
    : toSubject(document);

/** What is wrong with a document whose form is right, as far as no server is needed to know. */
function toMistakes(document: FleetDocument, places: Map<string, number>, index: number): string[] {
  const place = toPlace(document);
  const first = places.get(place);
  places.set(place, first ?? index);
  const again = first === undefined ? [] : [`${place} is in document ${first + 1} too: say it once`];
  if (document.kind !== "Rollout") return again;
  const problems = checkRolloutForm(document.spec);
  return [...again, ...problems.map(({ path: where, message, hint }) => `spec.${where}: ${message}; ${hint}`)];
}

const maxDocuments = 256;

function toKindHint(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !("kind" in value) || typeof value.kind !== "string")
    return undefined;
  const near = suggestName(value.kind, documentKinds);
  return near === null || near === value.kind ? undefined : `did you mean kind: ${near}?`;
}

/** Every document of a file, or every problem of all of them: nothing is applied from a file that is partly wrong. */
export function parseFleetFile(text: string, name: string): FleetDocument[] {
  const documents = parseAllDocuments(text, { maxAliasCount: 100 } as never);
  const problems: string[] = [];
  const hints: string[] = [];
  const parsed: FleetDocument[] = [];
  const places = new Map<string, number>();
  documents.slice(0, maxDocuments).forEach((document, index) => {
    const where = `${name}, document ${index + 1}`;
    const [error] = document.errors;
    if (error !== undefined) return problems.push(`${where}: ${error.message.split("\n")[0]}`);
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (value === null) return 0;
    const result = fleetDocumentSchema.safeParse(value);
    if (result.success) {
      problems.push(...toMistakes(result.data, places, index).map((mistake) => `${where}: ${mistake}`));
      return parsed.push(result.data);
    }
    hints.push(toKindHint(value) ?? "");
    return problems.push(...result.error.issues.map((issue) => `${where}: ${issue.path.join(".")}: ${issue.message}`));
  });
  if (documents.length > maxDocuments) problems.push(`${name} has more than ${maxDocuments} documents`);
  const [problem, ...more] = problems;
  if (problem !== undefined) {
    const hint = hints.find((text) => text !== "");
    throw new CliError("usage", problem, { more, ...(hint === undefined ? {} : { hint }) });
  }
  if (parsed.length === 0) throw new CliError("usage", `${name} holds no document`);
  return parsed;
}

export function readFleetFile(file: string): FleetDocument[] {
  let text: string;
  try {
    text = readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new CliError("file_unreadable", `cannot read ${file}`, { cause: error });
  }
  return parseFleetFile(text, file);
}
