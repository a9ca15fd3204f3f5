import { toErrorMessage } from "@fairlead/kernel";
import type { ServingAddress } from "../serve/ipc.ts";
import { callEndpoint, EndpointError, type EndpointAnswer } from "./endpoint-client.ts";
import { isSuspected, type ServingEnds } from "./serving-ends.ts";
import { modelDocumentSchema, toSourceRequest } from "./source-request.ts";
import type { ModelDocument, SourceContent, SourcePriority, SourceRequest } from "./source-request.ts";

/** Nothing is wrong with the input: others are served first, or the model is not served any more. */
export class LaterError extends Error {}
/** Nothing serves the model, so no input was asked about. */
export class UnservedError extends LaterError {}
/** The run passed its deadline, or the process ended while it ran the input: by that input, as far as anybody here knows. */
export class BrokenError extends Error {}
/** The input can never be answered; the message says why. */
export class PoisonedError extends Error {}

const laterStatuses: ReadonlySet<number> = new Set([404, 408, 429, 503]);
/** A source sends no timeout, so that this is the deadline of the run itself. */
const deadlineStatus = 504;

/** What a source asks: a model by its name, or whatever a slot serves at the moment; one of them is null. */
export interface SourceModel {
  readonly model: string | null;
  readonly slot: string | null;
  /** What a slot serves; null while it serves nothing. */
  readonly serves: (slot: string) => { readonly model: string; readonly version: string } | null;
}

export interface ModelAskerOptions extends SourceModel {
  /** Name under which the endpoint counts and limits these requests. */
  readonly client: string;
  readonly priority: SourcePriority;
  /** Null while the serving process starts. */
  readonly address: () => ServingAddress | null;
  readonly ends: Pick<ServingEnds, "count" | "after">;
  readonly signal: AbortSignal;
}

/** A model as it was found, and where. */
export interface FoundModel {
  readonly name: string;
  readonly path: string;
  readonly document: ModelDocument;
}

/** A client of this device's own endpoint: whatever feeds a model takes the same limits as everybody else. */
export class ModelAsker {
  readonly #options: ModelAskerOptions;

  constructor(options: ModelAskerOptions) {
    this.#options = options;
  }

  /** @throws UnservedError while the model is not served */
  async readModel(): Promise<FoundModel> {
    const { name, path } = this.#find();
    const answer = await this.#call(path).catch((error: unknown) => {
      throw this.#options.signal.aborted ? error : new UnservedError(toErrorMessage(error), { cause: error });
    });
    if (answer.status !== 200) throw new UnservedError(`the model answers ${answer.status}`);
    return { name, path, document: modelDocumentSchema.parse(JSON.parse(answer.body.toString("utf8"))) };
  }

  /** The endpoint's answer as JSON. @throws UnservedError · LaterError · BrokenError · PoisonedError */
  async ask(content: SourceContent, model: FoundModel): Promise<Buffer> {
    const made = toSourceRequest(content, model.document, this.#options.priority);
    if (made.kind === "unusable") throw new PoisonedError(made.reason);
    const { status, body } = await this.#infer(model, made.request);
    if (status === 200) return body;
    const text = `${status} ${body.toString("utf8").slice(0, 500)}`;
    if (status === deadlineStatus) throw new BrokenError(text);
    throw laterStatuses.has(status) ? new LaterError(text) : new PoisonedError(text);
  }

  /** By slot with the version, so that an input is never sent to a successor that it was not made for. */
  #find(): Pick<FoundModel, "name" | "path"> {
    const { model, slot, serves } = this.#options;
    if (slot === null) return { name: model ?? "", path: `/v2/models/${encodeURIComponent(model ?? "")}` };
    const served = serves(slot);
    if (served === null) throw new UnservedError(`the slot ${slot} serves nothing`);
    const { model: name, version } = served;
    return { name, path: `/v2/models/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}` };
  }

  async #infer({ name, path }: FoundModel, request: SourceRequest): Promise<EndpointAnswer> {
    const { ends, signal } = this.#options;
    const before = ends.count;
    try {
      return await this.#call(`${path}/infer`, request);
    } catch (error) {
      if (!(error instanceof BrokenError) || !(error.cause instanceof EndpointError)) throw error;
      const end = await ends.after(before, signal);
      if (isSuspected({ model: name, queued: error.cause.queued }, end)) throw error;
      throw new LaterError(`${error.message}, by another's fault`, { cause: error });
    }
  }

  async #call(path: string, request?: SourceRequest): Promise<EndpointAnswer> {
    const { address, client, signal } = this.#options;
    const at = address();
    if (at === null) throw new UnservedError("the serving process is not ready");
    try {
      return await callEndpoint(at, { ...{ path, client, signal }, ...(request === undefined ? {} : { request }) });
    } catch (error) {
      throw error instanceof EndpointError ? toSourceError(error) : error;
    }
  }
}

function toSourceError(error: EndpointError): Error {
  const cause = { cause: error };
  switch (error.failure) {
    case "unreachable":
      return new UnservedError(error.message, cause);
    case "broken":
      return new BrokenError(`the connection broke: ${error.message}`, cause);
    case "slow":
      // Batch work may wait for hours behind the rest of the device: nobody knows whether it ran.
      return new LaterError(error.message, cause);
    case "too-large":
      return new PoisonedError(error.message, cause);
  }
}
