import * as z from "zod";

const specSchema = z.object({
  name: z.string().max(1_024),
  datatype: z.enum([
    ...(["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"] as const),
    ...(["FP16", "BF16", "FP32", "FP64", "BYTES"] as const),
  ]),
  shape: z.array(z.int().min(-1)).max(16),
});
/** What the endpoint says of a model (Open Inference Protocol, "Model Metadata"). */
export const modelDocumentSchema = z.object({ inputs: z.array(specSchema).max(256) });
export type ModelDocument = z.infer<typeof modelDocumentSchema>;

const elementBytes = { BOOL: 1, UINT8: 1, INT8: 1, UINT16: 2, INT16: 2, FP16: 2, BF16: 2 } as const;
const toElementBytes = (datatype: ModelDocument["inputs"][number]["datatype"]): number =>
  datatype in elementBytes ? elementBytes[datatype as keyof typeof elementBytes] : datatype.endsWith("64") ? 8 : 4;

export type SourcePriority = "realtime" | "normal" | "batch";

export interface SourceContent {
  /** `json`: a request of the protocol; `bytes`: the little-endian content of the model's only input; `either`: by what it holds. */
  readonly form: "json" | "bytes" | "either";
  readonly bytes: Buffer;
}

export interface SourceRequest {
  readonly body: Buffer;
  /** Value of Inference-Header-Content-Length; null when all of the body is JSON. */
  readonly jsonBytes: number | null;
}

export type SourceRequestResult =
  | { readonly kind: "request"; readonly request: SourceRequest }
  | { readonly kind: "unusable"; readonly reason: string };

const unusable = (reason: string): SourceRequestResult => ({ kind: "unusable", reason });
const noJson = "it is no JSON";

/**
 * It travels byte by byte as it is, since numbers of 64 bits would not outlive being read, except that it is as urgent as
 * its source, which waits as long as it takes. Of two members with one name the last counts: so says ECMA-262, by which
 * the endpoint reads.
 */
function fromJson(bytes: Buffer, priority: SourcePriority): SourceRequestResult {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    return unusable(noJson);
  }
  const parsed = z.looseObject({ parameters: z.looseObject({}).optional() }).safeParse(value);
  if (!parsed.success) return unusable("it is no inference request");
  const { timeout: _timeout, ...parameters } = parsed.data.parameters ?? {};
  const members = bytes.subarray(0, bytes.lastIndexOf("}"));
  const last = `"parameters":${JSON.stringify({ ...parameters, priority })}}`;
  const isEmpty = Object.keys(value as object).length === 0;
  return {
    kind: "request",
    request: { body: Buffer.concat([members, Buffer.from(isEmpty ? last : `,${last}`)]), jsonBytes: null },
  };
}

/** A free dimension follows from the size. */
function fromBytes(bytes: Buffer, { inputs }: ModelDocument, priority: SourcePriority): SourceRequestResult {
  const [input] = inputs;
  if (input === undefined || inputs.length !== 1)
    return unusable(`the model has ${inputs.length} inputs, so bytes alone cannot be its input`);
  if (input.datatype === "BYTES") return unusable(`the input ${input.name} takes strings: send a JSON request`);
  const free = input.shape.filter((size) => size === -1).length;
  if (free > 1) return unusable(`the shape [${input.shape.join(",")}] does not follow from a size`);
  const rowBytes = input.shape.reduce(
    (product, size) => product * (size === -1 ? 1 : size),
    toElementBytes(input.datatype),
  );
  const rows = bytes.length / rowBytes;
  if (!Number.isSafeInteger(rows) || rows < 1 || (free === 0 && rows !== 1))
    return unusable(`it has ${bytes.length} bytes, the input ${input.name} takes ${rowBytes}`);
  const shape = input.shape.map((size) => (size === -1 ? rows : size));
  const { name, datatype } = input;
  const head = { name, datatype, shape, parameters: { binary_data_size: bytes.length } };
  const json = Buffer.from(JSON.stringify({ parameters: { priority }, inputs: [head] }));
  return { kind: "request", request: { body: Buffer.concat([json, bytes]), jsonBytes: json.length } };
}

/** Bytes may begin as JSON does: what is none is the input's content, if the input can take it. */
function fromEither(bytes: Buffer, model: ModelDocument, priority: SourcePriority): SourceRequestResult {
  if (bytes[0] !== "{".charCodeAt(0)) return fromBytes(bytes, model, priority);
  const request = fromJson(bytes, priority);
  if (request.kind === "request" || request.reason !== noJson) return request;
  const other = fromBytes(bytes, model, priority);
  return other.kind === "request" ? other : request;
}

/** The inference request that a file or a message stands for. */
export function toSourceRequest(
  { form, bytes }: SourceContent,
  model: ModelDocument,
  priority: SourcePriority,
): SourceRequestResult {
  if (form === "either") return fromEither(bytes, model, priority);
  return form === "json" ? fromJson(bytes, priority) : fromBytes(bytes, model, priority);
}
