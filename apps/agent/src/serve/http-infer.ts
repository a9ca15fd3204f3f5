import type { IncomingMessage, ServerResponse } from "node:http";
import { checkInputs, checkOutputs, parseInferRequest, toInferResponse, type InferResponse } from "@fairlead/inference";
import type { BodyMemory } from "./body-memory.ts";
import { readBody } from "./http-body.ts";
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
  readonly maxBodyBytes: number;
  readonly memory: BodyMemory;
  readonly shared: SharedRegions;
  readonly lone: LoneClient;
  nowMs(): number;
}

/** The hot path: body, model, tensors, run, answer. The model is looked up after the body, so that a switch drops nobody. */
export async function handleInfer(
  context: InferContext,
  target: InferTarget,
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  const jsonBytes = parseJsonLength(exchange.request.headers["inference-header-content-length"]);
  const client = parseClient(exchange.request.headers["x-fairlead-client"]);
  const bytes = await readBody(exchange.request, { maxBytes: context.maxBodyBytes, jsonBytes, memory: context.memory });
  const { load, stoppedReason } = context.loads.find(target.model, target.version);
  const startedMs = performance.now();
  try {
    if (stoppedReason !== null) {
      throw new ServeError("model_stopped", `model '${target.model}' is not served: ${stoppedReason}`);
    }
    const alone = context.lone.isAlone(exchange.request.socket);
    const answer = await infer(context, load, { bytes, jsonBytes, client, alone });
    send(exchange.response, answer);
  } catch (error) {
    load.recordFailure(error, (performance.now() - startedMs) * 1_000);
    throw error;
  }
}

async function infer(
  context: InferContext,
  load: Load,
  body: {
    readonly bytes: Uint8Array;
    readonly jsonBytes: number | null;
    readonly client: string | null;
    readonly alone: boolean;
  },
): Promise<InferResponse> {
  const startedMs = performance.now();
  const readShared = context.shared.createReader(context.memory, context.maxBodyBytes);
  const request = parseInferRequest(load.target, { ...body, readShared });
  checkInputs(load.target.name, load.target.inputs, request.inputs);
  const rows = request.inputs[0]?.shape[0] ?? 1;
  const picked = context.loads.findShadow(load)?.pick(request.inputs) ?? null;
  const parsedMs = performance.now();
  const { outputs, runUs, shareUs, queueUs, batchRows, leads } = await load
    .infer(request.inputs, {
      memory: context.memory,
      priority: request.priority ?? load.settings.priority,
      timeoutMs: request.timeoutMs,
      client: body.client,
      alone: body.alone,
    })
    .catch((error: unknown) => {
      picked?.abandon();
      throw error;
    });
  const ranMs = performance.now();
  checkOutputs(load.target.name, load.target.outputs, outputs);
  recordOutputs(load.accumulator, load.classificationOutput, outputs);
  load.accumulator.recordBusy(shareUs);
  const answer = toInferResponse({ name: load.target.name, version: load.version }, request, outputs);
  const endedMs = performance.now();
  load.accumulator.recordSuccess((endedMs - startedMs) * 1_000);
  load.statistics.recordSuccess(context.nowMs(), rows, {
    input: (parsedMs - startedMs) * 1_000,
    queue: queueUs,
    infer: runUs,
    output: (endedMs - ranMs) * 1_000,
    batchRows,
    leads,
  });
  const { classificationOutput } = load;
  // After the answer is on its way: what is only compared delays nobody.
  if (picked !== null) setImmediate(() => void picked.run({ outputs, classificationOutput, runUs }));
  return answer;
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

/** node:http puts head and body into one write only when the body is text; every part more costs a small model's client a percent. */
const maxTextBytes = 8_192;

function send(response: ServerResponse, answer: InferResponse): void {
  if (answer.jsonBytes === null) {
    response.writeHead(200, ["Content-Type", "application/json", "Content-Length", String(answer.totalBytes)]);
    response.end(answer.parts[0]);
    return;
  }
  response.writeHead(200, [
    "Content-Type",
    "application/octet-stream",
    "Inference-Header-Content-Length",
    String(answer.jsonBytes),
    "Content-Length",
    String(answer.totalBytes),
  ]);
  if (answer.totalBytes <= maxTextBytes) {
    response.end(Buffer.concat(answer.parts).toString("latin1"), "latin1");
    return;
  }
  response.cork();
  for (const part of answer.parts) response.write(part);
  response.end();
  response.uncork();
}
