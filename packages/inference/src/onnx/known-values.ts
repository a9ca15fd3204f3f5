import { InspectionError } from "./inspection-error.ts";
import type { Place } from "./place.ts";
import { quote } from "./quote.ts";

/** What a graph says of one of its values before it runs. */
export interface KnownValue {
  /** Free dimensions count as one. */
  readonly elements: number;
  /** The numbers of a constant of at most 32; null for everything else. */
  readonly values: readonly number[] | null;
  /** True where the file holds it, so that the runtime can work with it while it loads. */
  readonly constant: boolean;
}

/** The values of one graph or function by name. A graph inside another one sees the outer one's values too. */
export class KnownValues {
  readonly #outer: KnownValues | null;
  readonly #values = new Map<string, KnownValue>();

  constructor(outer: KnownValues | null) {
    this.#outer = outer;
  }

  /** @throws InspectionError `tensor_malformed` for a second constant of one name: readers take different ones */
  add(name: string, value: KnownValue, place: Place | null): void {
    if (name === "") return;
    const before = this.#values.get(name);
    if (before?.constant === true && value.constant)
      throw new InspectionError("tensor_malformed", `${quote(name)} is stated twice in one graph`, { place });
    if (before?.constant !== true) this.#values.set(name, value);
  }

  find(name: string): KnownValue | null {
    return this.#values.get(name) ?? this.#outer?.find(name) ?? null;
  }
}
