import type { ExpectedModel } from "./ipc.ts";
import { ServeError } from "./serving-error.ts";

/** @throws ServeError `config_invalid` */
export function parseExpectedModels(value: unknown): readonly ExpectedModel[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new ServeError("config_invalid", "expected is no list");
  return value.map((entry: unknown) => {
    const { slot, model, version }: Readonly<Record<string, unknown>> = Object(entry);
    if (typeof slot === "string" && typeof model === "string" && typeof version === "string")
      return { slot, model, version };
    throw new ServeError("config_invalid", "expected names no model of a slot");
  });
}

/** Longer than any load takes that is not stuck: what does not serve by then is not about to. */
const expectedForMs = 600_000;

/**
 * What the supervisor said at the start of this process that it will load. Until a slot serves, its model is not unknown:
 * clients that come while the process starts anew are asked to come again, not told that there is no such model.
 */
export class ExpectedModels {
  readonly #bySlot: Map<string, ExpectedModel>;
  readonly #untilMs: number;

  constructor(models: readonly ExpectedModel[], nowMs: number) {
    this.#bySlot = new Map(models.map((model) => [model.slot, model]));
    this.#untilMs = nowMs + expectedForMs;
  }

  /** What the slot serves, or that it serves nothing, is known from now on. */
  settle(slot: string): void {
    this.#bySlot.delete(slot);
  }

  has(name: string, version: string | null, nowMs: number): boolean {
    if (nowMs >= this.#untilMs) return false;
    return [...this.#bySlot.values()].some(
      (expected) => expected.model === name && (version === null || expected.version === version),
    );
  }
}
