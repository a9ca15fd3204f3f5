import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { createFileSource, createMemorySource, type ByteSource } from "./byte-source.ts";
import { checkFunctions } from "./functions.ts";
import { readGraph } from "./graph.ts";
import { InspectionError } from "./inspection-error.ts";
import { KnownValues } from "./known-values.ts";
import { defaultInspectionLimits, type InspectionLimits } from "./limits.ts";
import { checkStatedNodes } from "./made-check.ts";
import { readModel, type ModelHead } from "./model.ts";
import type { OperatorPolicy } from "./operator-policy.ts";
import { checkOpset, maxIrVersion } from "./operators.ts";
import { Trail } from "./place.ts";
import { toPrecision, toQuantization, type Precision, type Quantization } from "./precision.ts";
import { Tally } from "./tally.ts";
import type { TensorInfo } from "./value-info.ts";
import { WireReader } from "./wire.ts";

export interface OnnxInspection {
  readonly irVersion: number;
  readonly producerName: string;
  /** Domain "" is ai.onnx. */
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Elements of every tensor stored in the model, constants of nodes included. */
  readonly parameterCount: number;
  readonly weightBytes: number;
  /** Occurrences by name: "Conv", "com.microsoft::MatMulNBits". Bodies of branches, loops and functions count too. */
  readonly operators: Readonly<Record<string, number>>;
  readonly nodeCount: number;
  readonly precision: Precision;
  readonly quantization: Quantization;
  /** At most 64 entries; values cut at 1,024 bytes, control characters replaced. Written by strangers: escape it. */
  readonly metadataProps: Readonly<Record<string, string>>;
  /** Empty unless `externalData` is "report". */
  readonly externalDataLocations: readonly string[];
}

export interface InspectionOptions {
  readonly limits?: Partial<InspectionLimits>;
  /** Default "refuse": what is outside the file is outside its digest. */
  readonly externalData?: "refuse" | "report";
  /** Default: every operator that the runtime has and that does no harm by itself. */
  readonly operators?: OperatorPolicy;
}

/** Inspects a model file of any size in constant memory. Throws InspectionError when the model breaks a rule. */
export async function inspectOnnxFile(path: string, options: InspectionOptions = {}): Promise<OnnxInspection> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    const status = await file.stat();
    if (!status.isFile()) throw new InspectionError("model_unreadable", "the path names no regular file");
    return inspect(createFileSource(file.fd, status.size), options);
  } catch (error) {
    if (error instanceof InspectionError) throw error;
    throw new InspectionError("model_unreadable", "the model file cannot be read", { cause: error });
  }
}

/** Inspects a model in memory. Throws InspectionError when the model breaks a rule. */
export function inspectOnnxBytes(bytes: Uint8Array, options: InspectionOptions = {}): OnnxInspection {
  return inspect(createMemorySource(bytes), options);
}

function inspect(source: ByteSource, options: InspectionOptions): OnnxInspection {
  const limits = { ...defaultInspectionLimits, ...options.limits };
  const reader = new WireReader(source, limits);
  const { operators = {}, externalData = "refuse" } = options;
  const tally = new Tally({ limits, operators, refuseExternalData: externalData !== "report" });
  const trail = new Trail();
  try {
    const known = new KnownValues(null);
    const head = readModel({ reader, tally, trail, scope: tally.main, known, depth: 0, readGraph });
    checkModel(head, tally);
    return describe(head, tally);
  } catch (error) {
    throw error instanceof InspectionError ? error.in(trail.current) : error;
  }
}

/** What can be said only when the whole file was read. */
function checkModel(head: ModelHead, tally: Tally): void {
  if (head.graph === null || head.irVersion === 0)
    throw new InspectionError("not_onnx", "the file has no IR version or no graph");
  if (tally.nodes === 0) throw new InspectionError("not_onnx", "the graph has no nodes");
  checkFunctions(tally.main, head.functions, tally.limits);
  checkStatedNodes(tally.stated, tally.limits);
  checkVersions(head, tally);
}

function describe(head: ModelHead, tally: Tally): OnnxInspection {
  const { inputs, outputs } = head.graph ?? { inputs: [], outputs: [] };
  const quantization = toQuantization(tally.operators, tally.elementsByType);
  return {
    irVersion: head.irVersion,
    producerName: head.producerName,
    opsets: head.opsets,
    inputs,
    outputs,
    parameterCount: tally.parameters,
    weightBytes: tally.weightBytes,
    operators: Object.fromEntries(tally.operators),
    nodeCount: tally.nodes,
    precision: toPrecision(tally.elementsByType, quantization, inputs[0]?.elementType),
    quantization,
    metadataProps: Object.fromEntries(head.metadata),
    externalDataLocations: tally.externalLocations,
  };
}

function checkVersions(head: ModelHead, tally: Tally): void {
  if (head.irVersion < 1 || head.irVersion > maxIrVersion) {
    throw new InspectionError("unsupported_opset", `IR version ${head.irVersion}; supported: 1 to ${maxIrVersion}`);
  }
  for (const { domain, version } of head.opsets) checkOpset(domain, version);
  for (const domain of tally.domains) {
    if (!head.opsets.some((opset) => opset.domain === domain)) {
      throw new InspectionError("unsupported_opset", `the model names no operator set of ${domain || "ai.onnx"}`);
    }
  }
}
