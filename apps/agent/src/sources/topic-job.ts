import { setTimeout as delay } from "node:timers/promises";
import { openTopicPipe, type TopicPipe } from "@fairlead/bus";
import { toBackoffDelayMs, toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import type { ServingAddress } from "../serve/ipc.ts";
import { ModelAsker, PoisonedError } from "./model-asker.ts";
import type { SourcePriority } from "./source-request.ts";

export interface TopicJobOptions {
  readonly name: string;
  readonly model: string;
  /** `mqtt://` on this device. */
  readonly broker: string;
  readonly input: string;
  readonly output: string;
  readonly priority: SourcePriority;
  readonly address: () => ServingAddress | null;
  readonly random: () => number;
  readonly logger: Logger;
}

/**
 * Answers each message of a topic on another one, in order. A message that begins with `{` is a request of the
 * protocol, every other is the content of the model's only input; what cannot be answered gets `{"error": …}`. A
 * message is acknowledged once its answer is published, so a kill answers it again, with the same result.
 */
export class TopicJob implements Service {
  readonly name: string;
  readonly #options: TopicJobOptions;
  readonly #asker: ModelAsker;
  readonly #stop = new AbortController();
  #pipe: TopicPipe | undefined;

  constructor(options: TopicJobOptions) {
    const { name, model, priority, address } = options;
    this.#options = options;
    this.name = `pipeline ${name}`;
    this.#asker = new ModelAsker({ model, priority, address, client: `pipeline-${name}`, signal: this.#stop.signal });
  }

  async start(): Promise<void> {
    const { name, broker, input, output, logger } = this.#options;
    const answer = (payload: Uint8Array) => this.#answer(payload);
    this.#pipe = openTopicPipe({ url: broker, clientId: `fairlead-${name}`, input, output, answer, logger });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#pipe?.close();
  }

  async #answer(payload: Uint8Array): Promise<Uint8Array> {
    const bytes = Buffer.from(payload);
    const form = bytes[0] === "{".charCodeAt(0) ? "json" : "bytes";
    for (let failures = 0; ; failures += 1) {
      try {
        return await this.#asker.ask({ form, bytes }, await this.#asker.readModel());
      } catch (error) {
        if (error instanceof PoisonedError) return Buffer.from(JSON.stringify({ error: error.message }));
        this.#stop.signal.throwIfAborted();
        if (failures === 0)
          this.#options.logger.info("a pipeline waits", { job: this.name, reason: toErrorMessage(error) });
        const waitMs = toBackoffDelayMs({ baseMs: 50, maxMs: 5_000 }, failures, this.#options.random());
        await delay(waitMs, undefined, { signal: this.#stop.signal });
      }
    }
  }
}
