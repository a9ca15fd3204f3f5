import type { ServingAddress } from "../serve/ipc.ts";
import { callEndpoint, type EndpointAnswer } from "./endpoint-client.ts";
import {
  modelDocumentSchema,
  toSourceRequest,
  type ModelDocument,
  type SourceContent,
  type SourcePriority,
  type SourceRequest,
} from "./source-request.ts";

/** Nothing is wrong with the input: the model is not there yet, or others are served first. */
export class LaterError extends Error {}
/** The input can never be answered; the message says why. */
export class PoisonedError extends Error {}

const laterStatuses: ReadonlySet<number> = new Set([404, 408, 429, 503, 504]);

export interface ModelAskerOptions {
  readonly model: string;
  /** Name under which the endpoint counts and limits these requests. */
  readonly client: string;
  readonly priority: SourcePriority;
  /** Null while the serving process starts. */
  readonly address: () => ServingAddress | null;
  readonly signal: AbortSignal;
}

/** A client of this device's own endpoint: whatever feeds a model takes the same limits as everybody else. */
export class ModelAsker {
  readonly #options: ModelAskerOptions;
  readonly #path: string;

  constructor(options: ModelAskerOptions) {
    this.#options = options;
    this.#path = `/v2/models/${encodeURIComponent(options.model)}`;
  }

  /** @throws LaterError while the model is not served */
  async readModel(): Promise<ModelDocument> {
    const answer = await this.#call(this.#path);
    if (answer.status !== 200) throw new LaterError(`the model answers ${answer.status}`);
    return modelDocumentSchema.parse(JSON.parse(answer.body.toString("utf8")));
  }

  /** The endpoint's answer as JSON. @throws LaterError · PoisonedError · what a broken connection throws */
  async ask(content: SourceContent, model: ModelDocument): Promise<Buffer> {
    const made = toSourceRequest(content, model, this.#options.priority);
    if (made.kind === "unusable") throw new PoisonedError(made.reason);
    const { status, body } = await this.#call(`${this.#path}/infer`, made.request);
    if (status === 200) return body;
    const text = `${status} ${body.toString("utf8").slice(0, 500)}`;
    throw laterStatuses.has(status) ? new LaterError(text) : new PoisonedError(text);
  }

  async #call(path: string, request?: SourceRequest): Promise<EndpointAnswer> {
    const { address, client, signal } = this.#options;
    const at = address();
    if (at === null) throw new LaterError("the serving process is not ready");
    return await callEndpoint(at, { ...{ path, client, signal }, ...(request === undefined ? {} : { request }) });
  }
}
