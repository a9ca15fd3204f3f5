import type { ServerResponse } from "node:http";
import {
  batchLevel,
  checkBatch,
  checkInputs,
  checkRows,
  checkOutputs,
  parseInferRequest,
  toInferResponse,
  toLevel,
  toMaxBatchSize,
  type InferRequest,
  type InferResponse,
  type RequestBody,
  type ScheduledResult,
  type SharedRange,
  type Tensor,
} from "@fairlead/inference";
import { hasErrorCode } from "@fairlead/kernel";
import type { BodyMemory } from "./body-memory.ts";
import type { BodyLimits } from "./config.ts";
import type { HotCode } from "./hot-code.ts";
import { toCountedMemory, type BodyBudget, type BodyHold } from "./http-body-budget.ts";
import { readBody } from "./http-body.ts";
import type { Exchange } from "./http-exchange.ts";
import type { Load } from "./load.ts";
import type { Loads } from "./loads.ts";
import type { LoneClient } from "./lone-client.ts";
import { recordOutputs } from "./output-statistics.ts";
import { ServeError } from "./serving-error.ts";
import type { SharedRegions } from "./shared-regions.ts";

export interface InferTarget {
  readonly model: string;
  /** Null for whatever version is active. */
  readonly version: string | null;
}

export interface InferContext {
  readonly loads: Loads;
  readonly bodyLimits: BodyLimits;
  readonly memory: BodyMemory;
  /** Of all bodies that are in memory. */
  readonly bodies: BodyBudget;
  readonly shared: SharedRegions;
  readonly lone: LoneClient;
  readonly hotCode: HotCode;
  nowMs(): number;
}

/**
 * The hot path: body, model, tensors, run, answer. The model is looked up after the body, so that a switch drops nobody; a
 * name that nothing answers to is refused before, since its body would be read for nothing.
 */
export async function handleInfer(context: InferContext, target: InferTarget, exchange: Exchange): Promise<void> {
  const jsonBytes = parseJsonLength(exchange.request.headers["inference-header-content-length"]);
  const client = parseClient(exchange.request.headers["x-fairlead-client"]);
  context.loads.find(target.model, null);
  const hold = context.bodies.open();
  let isKept = false;
  try {
    const options = { maxBytes: context.bodyLimits.each, jsonBytes, memory: context.memory, hold };
    const bytes = await readBody(exchange.request, options);
    isKept = await answer(context, { target, exchange }, { bytes, jsonBytes, client, hold });
  } finally {
    if (!isKept) hold.release();
  }
}

/** @returns whether the answer keeps the hold, until its client has read it */
async function answer(
  context: InferContext,
  { target, exchange }: { readonly target: InferTarget; readonly exchange: Exchange },
  body: Omit<InferBody, "alone" | "onQueued" | "onRead">,
): Promise<boolean> {
  const { load, stoppedReason } = context.loads.find(target.model, target.version);
  const startedMs = performance.now();
  try {
    if (stoppedReason !== null) {
      throw new ServeError("model_stopped", `model '${target.model}' is not served: ${stoppedReason}`);
    }
    const alone = context.lone.isAlone(exchange.request.socket);
    const onQueued = (withdraw: () => void) => (exchange.onClose = withdraw);
    const tells = exchange.request.headers["x-fairlead-progress"] === "102";
    const onRead = tells ? () => exchange.response.writeProcessing() : null;
    const { answer, record } = await infer(context, load, { ...body, alone, onQueued, onRead });
    exchange.onClose = undefined;
    const isKept = holdAnswer(exchange, body.hold, answer.totalBytes);
    send(exchange.response, answer);
    record();
    context.hotCode.note();
    return isKept;
  } catch (error) {
    exchange.onClose = undefined;
    if (!hasErrorCode(error, "client_gone")) load.recordFailure(error, (performance.now() - startedMs) * 1_000);
    throw error;
  }
}

/** Smaller answers lie in the kernel's buffers, whoever reads them or not. */
const minHeldBytes = 65_536;
/** A client that reads nothing for so long gets no more. */
const stalledMs = 30_000;

/** The body has been consumed; what is held now is the answer, until it is written or its client is gone. @returns whether it is */
function holdAnswer(exchange: Exchange, hold: BodyHold, bytes: number): boolean {
  if (bytes < minHeldBytes || exchange.response.destroyed) return false;
  hold.release();
  hold.add(bytes);
  exchange.onClose = () => hold.release();
  exchange.response.setTimeout(stalledMs, () => exchange.response.destroy());
  return true;
}

interface InferBody {
  readonly bytes: Uint8Array;
  readonly jsonBytes: number | null;
  readonly client: string | null;
  readonly alone: boolean;
  /** For a client that wants to know that from now on its request only waits for its run. */
  readonly onRead: (() => void) | null;
  readonly hold: BodyHold;
  /** Told how to take the request out of the line again. */
  readonly onQueued: (withdraw: () => void) => void;
}

function read(
  context: InferContext,
  load: Load,
  { hold, ...body }: RequestBody & Pick<InferBody, "hold">,
): InferRequest {
  const memory = toCountedMemory(context.memory, hold);
  const readShared = context.shared.createReader(memory, context.bodyLimits.each);
  const checkShared = (ranges: readonly SharedRange[]) => context.shared.checkWritable(ranges);
  const request = parseInferRequest(load.target, { ...body, readShared, checkShared });
  checkInputs(load.target.name, load.target.inputs, request.inputs);
  checkRows(load.target.name, load.instances.sharedRows, request.inputs);
  checkBatch(load.target.name, toMaxBatchSize(load.target, load.settings), request.inputs);
  load.requestMemo.keep(body, request);
  return request;
}

function write(
  { context: { shared }, load }: { readonly context: InferContext; readonly load: Load },
  request: InferRequest,
  outputs: readonly Tensor[],
): InferResponse {
  const { target, version, classification } = load;
  const answer = toInferResponse({ name: target.name, version, classification, shared }, request, outputs);
  load.answerMemo.keep(request, outputs, answer);
  return answer;
}

interface Inferred {
  readonly answer: InferResponse;
  /** Counts what was answered: for after the answer, which it would only delay. */
  readonly record: () => void;
}

async function infer(context: InferContext, load: Load, body: InferBody): Promise<Inferred> {
  const startedMs = performance.now();
  const request = load.requestMemo.recall(body) ?? read(context, load, body);
  const picked = context.loads.findShadow(load)?.pick(request.inputs) ?? null;
  body.onRead?.();
  const parsedMs = performance.now();
  const { priority, timeoutMs } = request;
  const { client, alone, onQueued } = body;
  const ask = { ...{ memory: context.memory, client, alone, onQueued }, timeoutMs };
  const asked = priority ?? load.settings.priority;
  let result: ScheduledResult;
  try {
    if (toLevel(asked, load.settings.priority) === batchLevel) body.hold.waitAsBatch();
    result = await load.infer(request.inputs, { ...ask, priority: asked });
    checkOutputs(load.target.name, load.target.outputs, result.outputs);
  } catch (error) {
    picked?.abandon();
    throw error;
  }
  const { outputs, runUs, shareUs, queueUs, batchRows, leads } = result;
  const ranMs = performance.now();
  const recordRun = () => {
    recordOutputs(load.accumulator, load.classificationOutput, outputs);
    load.accumulator.recordBusy(shareUs);
  };
  let answer: InferResponse;
  try {
    answer = load.answerMemo.recall(request, outputs) ?? write({ context, load }, request, outputs);
  } catch (error) {
    // What no answer can carry, not-a-number in JSON for one, counts all the same.
    recordRun();
    picked?.abandon();
    throw error;
  }
  const endedMs = performance.now();
  const record = () => {
    recordRun();
    load.accumulator.recordSuccess((endedMs - startedMs) * 1_000);
    // Without a batch dimension a request is one inference, whatever its shape: `max_batch_size` is 0 there.
    const batches = toMaxBatchSize(load.target, load.settings) > 0;
    load.statistics.recordSuccess(context.nowMs(), batches ? (request.inputs[0]?.shape[0] ?? 1) : 1, {
      input: (parsedMs - startedMs) * 1_000,
      queue: queueUs,
      infer: runUs,
      output: (endedMs - ranMs) * 1_000,
      batchRows: batches ? batchRows : 1,
      leads,
    });
    const { classificationOutput } = load;
    // Later still: what is only compared delays nobody.
    if (picked !== null) setImmediate(() => void picked.run({ outputs, classificationOutput, runUs }));
  };
  return { answer, record };
}

function parseJsonLength(header: string | string[] | undefined): number | null {
  if (header === undefined) return null;
  if (typeof header === "string" && /^\d{1,10}$/u.test(header)) return Number(header);
  throw new ServeError("request_invalid", "Inference-Header-Content-Length is no number");
}

/** Names whose quota the request uses. Whoever reaches the endpoint may claim any: it divides, it does not protect. */
function parseClient(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  if (typeof header === "string" && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/u.test(header)) return header;
  throw new ServeError(
    "request_invalid",
    "X-Fairlead-Client is no name of at most 64 letters, digits, '.', '_' and '-'",
  );
}

/** node:http puts head and body into one write only when the body is text, and every write costs a small model's client a percent. */
const maxTextBytes = 8_192;

function send(response: ServerResponse, answer: InferResponse): void {
  const { jsonBytes, parts, totalBytes } = answer;
  const type =
    jsonBytes === null
      ? ["Content-Type", "application/json"]
      : ["Content-Type", "application/octet-stream", "Inference-Header-Content-Length", String(jsonBytes)];
  response.writeHead(200, [...type, "Content-Length", String(totalBytes)]);
  // Latin-1 gives every byte back as it is.
  if (totalBytes <= maxTextBytes) return void response.end(Buffer.concat(parts).toString("latin1"), "latin1");
  response.cork();
  for (const part of parts) response.write(part);
  response.end();
  response.uncork();
}
