import { readFileSync } from "node:fs";
import { inspectOnnxFile, type InspectionErrorCode, type OperatorPolicy } from "@fairlead/inference/inspect";
import { CodedError, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import {
  goldenSetSchema,
  inspectionSchema,
  type GoldenSet,
  type HttpErrorCode,
  type Inspection,
  type ModelVersion,
} from "@fairlead/protocol";
import { requireFittingGolden } from "./check-version.ts";

/** What is looked into, and for what. A file that others may name by now is read through its open descriptor. */
export type InspectionJob =
  | { readonly kind: "onnx"; readonly path: string; readonly operators: OperatorPolicy }
  | { readonly kind: "golden"; readonly path: string }
  | { readonly kind: "fitting-golden"; readonly fd: number; readonly version: Pick<ModelVersion, "builds"> };

/** Null for golden sets. @throws CodedError: why the file is refused */
export type InspectFile = (job: InspectionJob) => Promise<Inspection | null>;

/** Codes of the inspection that the API spells otherwise. */
const spelling: Partial<Record<InspectionErrorCode, HttpErrorCode>> = {
  model_unreadable: "internal",
};

function isInspectionCode(code: string | undefined): code is keyof typeof spelling {
  return code !== undefined && Object.hasOwn(spelling, code);
}

async function inspectModel(path: string, operators: OperatorPolicy): Promise<Inspection> {
  let found: unknown;
  try {
    found = await inspectOnnxFile(path, { operators });
  } catch (error) {
    const code = toErrorCode(error);
    const other = isInspectionCode(code) ? spelling[code] : undefined;
    if (other === undefined) throw error;
    const hint = error instanceof CodedError && error.hint !== undefined ? { hint: error.hint } : {};
    throw new CodedError<HttpErrorCode>(other, toErrorMessage(error), { cause: error, ...hint });
  }
  const parsed = inspectionSchema.safeParse(found);
  if (parsed.success) return parsed.data;
  const first = parsed.error.issues[0];
  throw new CodedError<HttpErrorCode>(
    "validation_failed",
    `the model cannot be described: ${first?.path.join(".") ?? ""}: ${first?.message ?? ""}`,
    { cause: parsed.error, hint: "export the model with shorter names and tensors of at most 32 dimensions" },
  );
}

/** @throws CodedError `validation_failed`, with the fields that are wrong */
export function parseGoldenSet(text: string): GoldenSet {
  const hint = "write {v: 1, cases: [{name, inputs, outputs, toleranceAbs, toleranceRel}]}";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CodedError<HttpErrorCode>("validation_failed", "the golden set is not JSON", { cause: error, hint });
  }
  const parsed = goldenSetSchema.safeParse(value);
  if (!parsed.success) {
    const fields = parsed.error.issues
      .slice(0, 16)
      .map((issue) => ({ path: issue.path.map(String).join("."), message: issue.message }));
    const summary = fields.map(({ path, message }) => `${path}: ${message}`).join("; ");
    throw new CodedError<HttpErrorCode>(
      "validation_failed",
      `the golden set is malformed: ${summary}`.slice(0, 1_000),
      {
        hint,
        details: { fields },
      },
    );
  }
  for (const [index, golden] of parsed.data.cases.entries()) {
    for (const [name, { shape, data }] of [...Object.entries(golden.inputs), ...Object.entries(golden.outputs)]) {
      const elements = shape.reduce((product, size) => product * size, 1);
      if (elements === data.length) continue;
      throw new CodedError<HttpErrorCode>(
        "validation_failed",
        `golden case ${index} (${golden.name}): tensor ${name} has ${data.length} values, its shape asks for ${elements}`,
        { hint },
      );
    }
  }
  return parsed.data;
}

/**
 * Looks into a file before anyone can name it: what it is, or why it is refused. Takes up to seconds of the thread that
 * calls it; the plane's own thread asks `inspection-threads.ts`.
 */
export const inspectFile: InspectFile = async (job) => {
  if (job.kind === "onnx") return await inspectModel(job.path, job.operators);
  const golden = parseGoldenSet(readFileSync(job.kind === "golden" ? job.path : job.fd, "utf8"));
  if (job.kind === "fitting-golden") requireFittingGolden(job.version, golden);
  return null;
};
