import type { Clock } from "@fairlead/kernel";
import type { SlotEngine } from "./slot-engine.ts";

export interface RepositoryAsked {
  readonly ask: "load" | "unload";
  readonly model: string;
}

interface Waiter {
  readonly isDone: () => string | boolean;
  readonly resolve: (refusal: string | null) => void;
}

const reason = "unloaded by a client on the device";
const answerMs = 120_000;

/**
 * What a client on the device may do to a slot: take its assigned build out of memory and bring it back. It chooses no
 * build, and what the control plane stopped stays stopped. The slot's report says what is so.
 */
export class RepositoryClient {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Null once it is so, else why not. */
  async ask(engines: readonly SlotEngine[], { ask, model }: RepositoryAsked): Promise<string | null> {
    const named = engines.filter(({ record }) => record.active?.model === model);
    if (named.length === 0) return `no slot of this device is assigned '${model}'`;
    const refusals = await Promise.all(
      named.map((engine) => (ask === "load" ? this.#load(engine) : this.#unload(engine))),
    );
    return refusals.find((refusal) => refusal !== null) ?? null;
  }

  /** To be called after every change of a slot. */
  onChange(): void {
    for (const waiter of this.#waiters) {
      const done = waiter.isDone();
      if (done === false) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(done === true ? null : done);
    }
  }

  #unload(engine: SlotEngine): Promise<string | null> {
    if (engine.onTrial) return Promise.resolve("a new build of it is on trial; ask again when that is over");
    if (engine.record.stopped === null) engine.apply({ kind: "stopped", reason, byClient: true });
    engine.wake();
    return this.#waitFor(() => engine.view.served === null);
  }

  #load(engine: SlotEngine): Promise<string | null> {
    const { stopped } = engine.record;
    if (stopped !== null && stopped.byClient !== true)
      return Promise.resolve(`it was stopped by the control plane: ${stopped.reason}`);
    engine.apply({ kind: "client-lifted" });
    engine.wake();
    return this.#waitFor(() => engine.view.served !== null || (engine.view.trouble ?? false));
  }

  async #waitFor(isDone: Waiter["isDone"]): Promise<string | null> {
    const startedMs = this.#clock.monotonicMs();
    const { promise, resolve } = Promise.withResolvers<string | null>();
    const waiter = { isDone, resolve };
    this.#waiters.add(waiter);
    const timer = setTimeout(
      () => resolve(`it is not so after ${Math.round(this.#clock.monotonicMs() - startedMs)} ms`),
      answerMs,
    );
    this.onChange();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }
}
