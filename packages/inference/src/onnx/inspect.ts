import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { createFileSource, createMemorySource, type ByteSource } from "./byte-source.ts";
import { readGraph, readNode, type GraphSummary } from "./graph.ts";
import { InspectionError } from "./inspection-error.ts";
import { checkOpset, maxIrVersion, toDomain, toOperatorName } from "./operators.ts";
import { toPrecision, toQuantization, type Precision, type Quantization } from "./precision.ts";
import { createScope, defaultInspectionLimits, Tally, type InspectionLimits, type Scope } from "./tally.ts";
import type { TensorInfo } from "./value-info.ts";
import { WireReader, type Range } from "./wire.ts";

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
    throw new InspectionError("model_unreadable", "the model file cannot be read", error);
  }
}

/** Inspects a model in memory. Throws InspectionError when the model breaks a rule. */
export function inspectOnnxBytes(bytes: Uint8Array, options: InspectionOptions = {}): OnnxInspection {
  return inspect(createMemorySource(bytes), options);
}

interface ModelHead {
  irVersion: number;
  producerName: string;
  readonly opsets: { domain: string; version: number }[];
  readonly metadata: Map<string, string>;
  readonly functions: Map<string, Scope>;
  graph: GraphSummary | null;
}

function inspect(source: ByteSource, options: InspectionOptions): OnnxInspection {
  const limits = { ...defaultInspectionLimits, ...options.limits };
  const reader = new WireReader(source, limits);
  const tally = new Tally(limits, options.externalData !== "report");
  const main = createScope();
  const head = readModel({ reader, tally, scope: main, depth: 0 });
  if (head.graph === null || head.irVersion === 0) {
    throw new InspectionError("not_onnx", "the file has no IR version or no graph");
  }
  if (tally.nodes === 0) throw new InspectionError("not_onnx", "the graph has no nodes");
  tally.checkFunctions(main, head.functions);
  tally.checkLoops();
  checkVersions(head, tally);
  const quantization = toQuantization(tally.operators, tally.elementsByType);
  return {
    irVersion: head.irVersion,
    producerName: head.producerName,
    opsets: head.opsets,
    inputs: head.graph.inputs,
    outputs: head.graph.outputs,
    parameterCount: tally.parameters,
    weightBytes: tally.weightBytes,
    operators: Object.fromEntries(tally.operators),
    nodeCount: tally.nodes,
    precision: toPrecision(tally.elementsByType, quantization, head.graph.inputs[0]?.elementType),
    quantization,
    metadataProps: Object.fromEntries(head.metadata),
    externalDataLocations: tally.externalLocations,
  };
}

type ModelWalk = Parameters<typeof readGraph>[0];

function readModel(walk: ModelWalk): ModelHead {
  const { reader } = walk;
  const head: ModelHead = {
    irVersion: 0,
    producerName: "",
    opsets: [],
    metadata: new Map(),
    functions: new Map(),
    graph: null,
  };
  for (const field of reader.fields({ start: 0, end: reader.sizeBytes })) {
    if (field.number === 1) head.irVersion = field.value;
    else if (field.number === 2) head.producerName = toPrintable(reader.prefix(field, 256));
    else if (field.number === 8) head.opsets.push(readOpset(reader, reader.message(field)));
    else if (field.number === 14) readMetadata(reader, reader.message(field), head.metadata);
    else if (field.number === 20)
      throw new InspectionError("model_too_complex", "the model holds graphs for training, which nothing here runs");
    else if (field.number === 25) readFunction(walk, reader.message(field), head.functions);
    else if (field.number === 7) {
      if (head.graph !== null) throw new InspectionError("not_onnx", "the model has two graphs");
      head.graph = readGraph(walk, reader.message(field));
    }
    if (head.opsets.length > 256) throw new InspectionError("model_too_complex", "more than 256 operator sets");
  }
  return head;
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

function readOpset(reader: WireReader, range: Range): { domain: string; version: number } {
  let domain = "";
  let version = 0;
  for (const field of reader.fields(range)) {
    if (field.number === 1) domain = toDomain(reader.string(field));
    else if (field.number === 2) version = field.value;
  }
  return { domain, version };
}

function readMetadata(reader: WireReader, range: Range, metadata: Map<string, string>): void {
  let key = "";
  let value = "";
  for (const field of reader.fields(range)) {
    if (field.number === 1) key = toPrintable(reader.prefix(field, 128));
    else if (field.number === 2) value = toPrintable(reader.prefix(field, 1_024));
  }
  if (metadata.size < 64) metadata.set(key, value);
}

/** FunctionProto: an operator that the model defines itself; `overload` makes names unique and does not matter here. */
function readFunction(walk: ModelWalk, range: Range, functions: Map<string, Scope>): void {
  const { reader } = walk;
  const scope = createScope();
  let name = "";
  let domain = "";
  for (const field of reader.fields(range)) {
    if (field.number === 1) name = reader.string(field);
    else if (field.number === 10) domain = toDomain(reader.string(field));
    else if (field.number === 9) {
      const opset = readOpset(reader, reader.message(field));
      checkOpset(opset.domain, opset.version);
    } else if (field.number === 7) readNode({ ...walk, scope, depth: 1 }, reader.message(field));
  }
  functions.set(toOperatorName(domain, name), scope);
}

function toPrintable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "\uFFFD");
}
