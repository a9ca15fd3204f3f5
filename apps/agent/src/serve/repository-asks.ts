import type { ServingEvent } from "./serving-event.ts";
import { ServeError } from "./serving-error.ts";

export type RepositoryAsk = Extract<ServingEvent, { kind: "repository" }>["ask"];

/** The supervisor loads within its own time limits; beyond this it has forgotten the question. */
const answerMs = 180_000;
const maxOpen = 16;

interface Open {
  readonly resolve: () => void;
  readonly reject: (error: ServeError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * What clients ask of the model repository, for the supervisor: it alone knows which build a slot is assigned, and reports
 * what became of it. Triton's model repository extension, as far as the device's own configuration allows it.
 */
export class RepositoryAsks {
  readonly allowed: boolean;
  readonly #emit: (event: ServingEvent) => void;
  readonly #open = new Map<number, Open>();
  #number = 0;

  constructor(allowed: boolean, emit: (event: ServingEvent) => void) {
    this.allowed = allowed;
    this.#emit = emit;
  }

  /** Resolves when it is done. @throws ServeError `policy_refused` · `overloaded` · `repository_refused` */
  ask(ask: RepositoryAsk, model: string): Promise<void> {
    if (!this.allowed) {
      const message = `${ask} of '${model}' is not allowed on this device: set inference.repository to allow in config.yaml`;
      throw new ServeError("policy_refused", message);
    }
    if (this.#open.size >= maxOpen) throw new ServeError("overloaded", `${maxOpen} such requests are being worked on`);
    this.#number += 1;
    const askId = this.#number;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.settle(askId, "the agent did not answer in time"), answerMs);
      this.#open.set(askId, { resolve, reject, timer });
      this.#emit({ kind: "repository", askId, ask, model });
    });
  }

  /** @param refusal why it was not done; null when it was */
  settle(askId: number, refusal: string | null): void {
    const open = this.#open.get(askId);
    if (open === undefined) return;
    this.#open.delete(askId);
    clearTimeout(open.timer);
    if (refusal === null) open.resolve();
    else open.reject(new ServeError("repository_refused", refusal.slice(0, 500)));
  }
}
