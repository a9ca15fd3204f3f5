import { setTimeout as delay } from "node:timers/promises";
import type { Placement } from "../port.ts";
import { RuntimeError } from "../runtime-error.ts";
import type { Tensor } from "../tensor.ts";
import { parseInferAnswer } from "./infer-answer.ts";
import { toInferBody, toJsonInferBody } from "./infer-body.ts";
import { checkMetadata, toSidecarPlacement, type ModelEdge } from "./server-model.ts";
import { toServerName } from "./server-record.ts";
import { SidecarHttpError, type SidecarAnswer, type SidecarHttp } from "./sidecar-http.ts";

export interface ServedModel {
  readonly edge: ModelEdge;
  readonly placement: Placement;
}

interface NamedModel {
  readonly name: string;
  readonly version: number;
}

export interface Wanted {
  readonly edge: ModelEdge;
  readonly providers: readonly string[];
  readonly untilMs: number;
}

export interface SidecarClientOptions {
  readonly http: SidecarHttp;
  readonly control: SidecarControl;
  /** How tensors travel; auto: as binary data where the server's metadata names that extension, else as JSON. */
  readonly tensors: TensorForm;
  readonly maxAnswerBytes: number;
}

export type SidecarControl = "explicit" | "poll" | "config-file";

export type TensorForm = "auto" | "binary" | "json";

const healthTimeoutMs = 1_000;
const maxDocumentBytes = 1_048_576;
/** Name of the extension in a server's metadata (Triton, extension_binary_data.md). */
const binaryExtension = "binary_tensor_data";
const pollMs = { first: 10, longest: 200 } as const;

/**
 * The Open Inference Protocol (v2, HTTP) as its client, with the binary tensor extension where the server has it, and the
 * model repository extension where it is told what to load.
 */
export class SidecarClient {
  readonly #options: SidecarClientOptions;
  /** Of the server's present life; learned with each load, since the next start may be of another version. */
  #binary = false;
  #nextId = 1;

  constructor(options: SidecarClientOptions) {
    this.#options = options;
  }

  async isHealthy(which: "live" | "ready"): Promise<boolean> {
    try {
      return (await this.#get(`/v2/health/${which}`, healthTimeoutMs)).status === 200;
    } catch {
      return false;
    }
  }

  /** What the server says that it is; null when it does not. Never rejects. */
  async describeServer(): Promise<string | null> {
    try {
      const answer = await this.#get("/v2", healthTimeoutMs);
      return answer.status === 200 ? toServerName(toDocument(answer)) : null;
    } catch {
      return null;
    }
  }

  /** Loads a model that lies in the repository, waits until it is ready and checks what it is. */
  async load(model: NamedModel, { edge, providers, untilMs }: Wanted): Promise<ServedModel> {
    const leftMs = () => Math.max(1, untilMs - performance.now());
    if (this.#options.control === "explicit") await this.#control(model.name, "load", leftMs());
    const path = `/v2/models/${model.name}/versions/${model.version}`;
    let waitMs: number = pollMs.first;
    for (;;) {
      const { status } = await this.#get(`${path}/ready`, leftMs());
      if (status === 200) break;
      if (untilMs - performance.now() < waitMs)
        throw new RuntimeError(
          "model_load_failed",
          `the server did not have the model ready in time (status ${status})`,
        );
      await delay(waitMs);
      waitMs = Math.min(pollMs.longest, waitMs * 1.5);
    }
    const metadata = await this.#get(path, leftMs());
    if (metadata.status !== 200)
      throw new RuntimeError("model_load_failed", `the server tells no metadata: ${toReason(metadata)}`);
    const served = checkMetadata(model.name, edge, toDocument(metadata));
    this.#binary = await this.#takesBinary(leftMs());
    checkForm(served, this.#binary);
    const config = await this.#get(`${path}/config`, leftMs());
    const known = config.status === 200 ? toDocument(config) : null;
    return { edge: served, placement: toSidecarPlacement(providers, known) };
  }

  /** Best effort: a server that does not let go keeps a model that nobody asks for until it is started again. */
  async unload(name: string, timeoutMs: number): Promise<void> {
    if (this.#options.control === "explicit") await this.#control(name, "unload", timeoutMs).catch(() => undefined);
  }

  /** @throws SidecarHttpError · RuntimeError `inference_failed` */
  async infer(
    model: NamedModel & { readonly edge: ModelEdge },
    inputs: readonly Tensor[],
    timeoutMs: number,
  ): Promise<readonly Tensor[]> {
    const id = String(this.#nextId++);
    const toBody = this.#binary ? toInferBody : toJsonInferBody;
    const { jsonBytes, parts } = toBody(id, inputs, model.edge.outputs);
    const answer = await this.#options.http.call({
      method: "POST",
      path: `/v2/models/${model.name}/versions/${model.version}/infer`,
      headers:
        jsonBytes === null
          ? { "content-type": "application/json" }
          : { "content-type": "application/octet-stream", "inference-header-content-length": String(jsonBytes) },
      parts,
      timeoutMs,
      maxBytes: this.#options.maxAnswerBytes,
    });
    if (answer.status !== 200) throw new RuntimeError("inference_failed", toReason(answer));
    return parseInferAnswer({ id, model: model.name, outputs: model.edge.outputs }, answer);
  }

  isLate(error: unknown): boolean {
    return error instanceof SidecarHttpError && error.kind === "late";
  }

  /** A load that is late is a failed one: `inference_deadline` would say that a thread of this process is stuck. */
  toLoadError(error: unknown): RuntimeError {
    if (error instanceof RuntimeError) return error;
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof SidecarHttpError && error.kind === "lost")
      return new RuntimeError("runtime_crashed", `the server ended while it loaded the model: ${message}`, error);
    return new RuntimeError("model_load_failed", message, error);
  }

  async #control(name: string, verb: "load" | "unload", timeoutMs: number): Promise<void> {
    const answer = await this.#options.http.call({
      method: "POST",
      path: `/v2/repository/models/${name}/${verb}`,
      headers: { "content-type": "application/json" },
      parts: [Buffer.from("{}")],
      timeoutMs,
      maxBytes: maxDocumentBytes,
    });
    if (answer.status !== 200) throw new RuntimeError("model_load_failed", toReason(answer));
  }

  /** JSON is what every server takes: whoever says nothing of an extension, or nothing at all, is asked in JSON. */
  async #takesBinary(timeoutMs: number): Promise<boolean> {
    const { tensors } = this.#options;
    if (tensors !== "auto") return tensors === "binary";
    const metadata = await this.#get("/v2", timeoutMs);
    if (metadata.status !== 200) return false;
    const document = toDocument(metadata);
    const extensions: unknown =
      typeof document === "object" && document !== null && "extensions" in document ? document.extensions : [];
    return Array.isArray(extensions) && extensions.includes(binaryExtension);
  }

  #get(path: string, timeoutMs: number): Promise<SidecarAnswer> {
    return this.#options.http.call({ method: "GET", path, timeoutMs, maxBytes: maxDocumentBytes });
  }
}

/** @throws RuntimeError `tensor_type_unsupported` */
function checkForm({ inputs, outputs }: ModelEdge, binary: boolean): void {
  const odd = binary ? undefined : [...inputs, ...outputs].find(({ datatype }) => datatype === "BF16");
  if (odd === undefined) return;
  throw new RuntimeError("tensor_type_unsupported", `'${odd.name}' is BF16, and the server takes tensors as JSON only`);
}

function toDocument({ bytes }: SidecarAnswer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new RuntimeError("model_load_failed", "the server's description of itself or of the model is no JSON", error);
  }
}

/** `{"error": "…"}` of the protocol, or as much as the server said instead; it may be anything. */
function toReason({ status, bytes }: SidecarAnswer): string {
  const text = new TextDecoder().decode(bytes.subarray(0, 4_096));
  let said = text;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "error" in value) said = String(value.error);
  } catch {
    said = text;
  }
  const printable = said
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, 1_000);
  return `the server answered with status ${status}: ${printable === "" ? "(nothing)" : printable}`;
}
