import { setTimeout as delay } from "node:timers/promises";
import { openTopicPipe, type TopicPipe } from "@fairlead/bus";
import type { Logger, Service } from "@fairlead/kernel";
import type { ServingAddress } from "../serve/ipc.ts";
import type { ServingEnds } from "./serving-ends.ts";
import { answerMessage } from "./message-answer.ts";
import { ModelAsker, type SourceModel } from "./model-asker.ts";
import type { SourcePriority } from "./source-request.ts";

export interface TopicJobOptions extends SourceModel {
  readonly name: string;
  /** `mqtt://` on this device. */
  readonly broker: string;
  readonly input: string;
  readonly output: string;
  readonly priority: SourcePriority;
  readonly address: () => ServingAddress | null;
  readonly ends: Pick<ServingEnds, "count" | "after">;
  readonly random: () => number;
  readonly logger: Logger;
}

/**
 * Answers each message of a topic on another one, in order. A JSON object is a request of the
 * protocol, every other message is the content of the model's only input; what cannot be answered gets `{"error": …}`. A
 * message is acknowledged once its answer is published, so a kill answers it again, with the same result.
 */
export class TopicJob implements Service {
  readonly name: string;
  readonly #options: TopicJobOptions;
  readonly #asker: ModelAsker;
  readonly #stop = new AbortController();
  #pipe: TopicPipe | undefined;

  constructor(options: TopicJobOptions) {
    this.#options = options;
    this.name = `pipeline ${options.name}`;
    this.#asker = new ModelAsker({ ...options, client: `pipeline-${options.name}`, signal: this.#stop.signal });
  }

  async start(): Promise<void> {
    const { name, broker, input, output, random, logger } = this.#options;
    const answer = (payload: Uint8Array) =>
      answerMessage(
        {
          asker: this.#asker,
          random,
          wait: async (waitMs) => {
            // A call that the end of the source broke off is no failure of the message.
            this.#stop.signal.throwIfAborted();
            await delay(waitMs, undefined, { signal: this.#stop.signal });
          },
          onWait: (reason) => logger.info("a pipeline waits", { job: this.name, reason }),
        },
        payload,
      );
    this.#pipe = openTopicPipe({ url: broker, clientId: `fairlead-${name}`, input, output, answer, logger });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#pipe?.close();
  }
}
