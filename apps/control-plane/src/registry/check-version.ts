import { findTargetConflict } from "@fairlead/artifacts";
import { CodedError } from "@fairlead/kernel";
import {
  limits,
  modelVersionSchema,
  type Build,
  type GoldenSet,
  type HttpErrorCode,
  type ModelVersion,
  type RegisterVersionRequest,
} from "@fairlead/protocol";
import type { ArtifactRow } from "@fairlead/store";

interface Field {
  readonly path: string;
  readonly message: string;
}

function refuseFields(fields: readonly Field[], hint: string): void {
  if (fields.length === 0) return;
  const summary = fields.map(({ path, message }) => `${path}: ${message}`).join("; ");
  throw new CodedError<HttpErrorCode>("validation_failed", summary.slice(0, 1_000), { hint, details: { fields } });
}

/** @throws CodedError `artifact_unknown`, naming every digest that is missing · `validation_failed` */
function toArtifactOf(rows: readonly ArtifactRow[], request: RegisterVersionRequest) {
  const byDigest = new Map(rows.map((row) => [row.digest, row]));
  const { goldenDigest } = request.selfTest;
  const wanted = [...request.builds.map(({ digest }) => digest), ...(goldenDigest === null ? [] : [goldenDigest])];
  const missing = [...new Set(wanted)].filter((digest) => !byDigest.has(digest));
  if (missing.length > 0) {
    throw new CodedError<HttpErrorCode>("artifact_unknown", `not stored here: ${missing.join(", ")}`, {
      hint: "upload them first with PUT /api/v1/artifacts/<digest>",
      details: { missing },
    });
  }
  return (digest: string, kind: ArtifactRow["kind"], path: string): ArtifactRow => {
    const row = byDigest.get(digest);
    if (row?.kind === kind) return row;
    const message = `${digest} was uploaded as ${row?.kind ?? "nothing"}, not as ${kind}`;
    throw new CodedError<HttpErrorCode>("validation_failed", `${path}: ${message}`, {
      hint: "name another digest here",
      details: { fields: [{ path, message }] },
    });
  };
}

/** What a release will say of the version: digests and sizes from the store, shapes and precision from the files. */
export function toModelVersion(
  model: string,
  request: RegisterVersionRequest,
  rows: readonly ArtifactRow[],
): ModelVersion {
  const toArtifact = toArtifactOf(rows, request);
  const { goldenDigest, latencyP95Ms, repeats } = request.selfTest;
  const builds = request.builds.map(({ digest, target }, index): Build => {
    const { sizeBytes, inspection } = toArtifact(digest, "onnx", `builds.${index}.digest`);
    if (inspection === null) throw new CodedError<HttpErrorCode>("internal", `${digest} was never inspected`);
    const { precision, quantization, inputs, outputs } = inspection;
    return { artifact: { digest, sizeBytes }, format: "onnx", precision, quantization, target, inputs, outputs };
  });
  const golden = goldenDigest === null ? null : toArtifact(goldenDigest, "golden", "selfTest.goldenDigest");
  const parsed = modelVersionSchema.safeParse({
    model,
    version: request.version,
    description: request.description,
    classification: request.classification,
    builds,
    selfTest: {
      golden: golden === null ? null : { digest: golden.digest, sizeBytes: golden.sizeBytes },
      latencyP95Ms,
      repeats,
    },
    ...(request.choice === undefined ? {} : { choice: request.choice }),
  });
  if (parsed.success) return parsed.data;
  refuseFields(
    parsed.error.issues.slice(0, 16).map(({ path, message }) => ({ path: path.map(String).join("."), message })),
    "a build needs at least one input and one output, at most 64 of each",
  );
  throw parsed.error;
}

const howToDistinguish =
  "say how a device chooses between them (choice; fairlead models push --objective latency|energy|accuracy), or give them different targets";

/**
 * Two builds for one target are a mistake, unless they differ and the version says how a device chooses between what it measures.
 * @throws CodedError `duplicate_target`, naming both builds and what they share
 */
export function requireDistinctTargets({ builds, choice }: Pick<ModelVersion, "builds" | "choice">): void {
  const claims = builds.map(({ format, target, artifact: { digest } }) => ({ format, target, digest }));
  const conflict = findTargetConflict(claims, choice !== undefined);
  if (conflict === null) return;
  const { kind, ...pair } = conflict;
  const describe = (index: number): string => {
    const claim = claims[index];
    return claim === undefined ? "" : `builds.${index} (${claim.digest}, ${JSON.stringify(claim.target)})`;
  };
  const what = kind === "same-file" ? "are the same file for the same target" : "claim the same target";
  throw new CodedError<HttpErrorCode>(
    "duplicate_target",
    `${describe(pair.first)} and ${describe(pair.second)} ${what}`,
    { hint: kind === "same-file" ? "remove one of them" : howToDistinguish, details: { ...pair } },
  );
}

/** A policy that asks for accuracy needs something to measure it by; on a device it would refuse every build. */
export function requireMeasurableChoice({ choice, selfTest }: ModelVersion): void {
  if (choice === undefined || selfTest.golden !== null) return;
  if (choice.objective !== "accuracy" && choice.accuracyFloor === null) return;
  const message = "asks for accuracy, and the version has no golden set";
  refuseFields([{ path: "choice", message }], "add a golden set, or choose by latency or energy without a floor");
}

/** Every build must be usable in place of every other, and the class labels must fit what the model puts out. */
export function requireOneInterface({ builds, classification }: ModelVersion): void {
  const fields: Field[] = [];
  const toNames = (tensors: Build["inputs"]) => tensors.map(({ name }) => name).toSorted();
  const [first] = builds;
  for (const [index, build] of builds.entries()) {
    for (const side of ["inputs", "outputs"] as const) {
      const expected = toNames(first?.[side] ?? []).join(", ");
      const actual = toNames(build[side]).join(", ");
      if (expected !== actual) {
        fields.push({
          path: `builds.${index}`,
          message: `its ${side} are ${actual}, those of builds.0 are ${expected}`,
        });
      }
    }
    if (classification === null) continue;
    const output = build.outputs.find(({ name }) => name === classification.output);
    const width = output?.shape.at(-1);
    const count = classification.labels.length;
    if (output === undefined) {
      const known = build.outputs.map(({ name }) => name).join(", ");
      const message = `builds.${index} has no output ${classification.output}; it has ${known}`;
      fields.push({ path: "classification.output", message });
    } else if (typeof width === "number" && width !== count) {
      const message = `${count} labels, but output ${output.name} of builds.${index} has ${width} values`;
      fields.push({ path: "classification.labels", message });
    }
  }
  refuseFields(fields, "name the inputs, outputs and labels that the uploaded files really have");
}

/** A golden set that names other tensors than the model could never pass on any device. */
export function requireFittingGolden({ builds }: Pick<ModelVersion, "builds">, golden: GoldenSet): void {
  const fields: Field[] = [];
  const inputs = new Set(builds[0]?.inputs.map(({ name }) => name));
  const outputs = new Set(builds[0]?.outputs.map(({ name }) => name));
  for (const [index, { name, ...sample }] of golden.cases.entries()) {
    const path = `selfTest.goldenDigest.cases.${index}`;
    const missing = [...inputs].filter((input) => !Object.hasOwn(sample.inputs, input));
    const foreign = [
      ...Object.keys(sample.inputs).filter((input) => !inputs.has(input)),
      ...Object.keys(sample.outputs).filter((output) => !outputs.has(output)),
    ];
    if (missing.length > 0) fields.push({ path, message: `case ${name} has no input ${missing.join(", ")}` });
    if (foreign.length > 0) fields.push({ path, message: `case ${name} names unknown ${foreign.join(", ")}` });
    if (Object.keys(sample.outputs).length === 0) fields.push({ path, message: `case ${name} expects no output` });
  }
  refuseFields(fields.slice(0, 16), "record the golden set with this model");
}

/** A device takes a release as part of one message of bounded size. @throws CodedError `validation_failed` */
export function requireModestSize(content: ModelVersion): void {
  const toBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
  const bytes = toBytes(content);
  if (bytes <= limits.versionBytes) return;
  const { classification, builds } = content;
  const parts = `its labels take ${toBytes(classification?.labels ?? [])} bytes, its ${builds.length} builds ${toBytes(builds)}`;
  const message = `the version takes ${bytes} bytes as JSON, and devices at most ${limits.versionBytes}: ${parts}`;
  throw new CodedError<HttpErrorCode>("validation_failed", message, {
    hint: "shorten the labels (numbers will do, names may stay with whoever reads the answers), or give fewer builds",
    details: { bytes, maxBytes: limits.versionBytes },
  });
}
