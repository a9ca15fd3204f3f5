import { quote } from "./quote.ts";

export type PlaceKind = "node" | "attribute" | "initializer" | "value" | "function" | "metadata" | "operator set";

/** A part of the model, and the part that holds it. `name` and `operator` are filled in as they are read. */
export interface Place {
  readonly parent: Place | null;
  readonly kind: PlaceKind;
  /** Among its own kind, from 0, as the file has them. */
  readonly index: number;
  /** Byte of the file at which it begins. */
  readonly at: number;
  name: string;
  operator: string;
}

/** Where a walk is. What is thrown happened at `current`: nobody leaves on the way out. */
export class Trail {
  #current: Place | null = null;

  get current(): Place | null {
    return this.#current;
  }

  enter(kind: PlaceKind, index: number, at: number): Place {
    this.#current = { parent: this.#current, kind, index, at, name: "", operator: "" };
    return this.#current;
  }

  leave(place: Place): void {
    this.#current = place.parent;
  }
}

/** "node 3 "loop" (Loop) / attribute 0 "body" / node 0 (Mul)": from the outermost part to the innermost. */
export function toPath(place: Place): string {
  const parts: string[] = [];
  for (let part: Place | null = place; part !== null; part = part.parent) {
    const name = part.name === "" ? "" : ` ${quote(part.name)}`;
    const operator = part.operator === "" ? "" : ` (${quote(part.operator).slice(1, -1)})`;
    parts.push(`${part.kind} ${part.index}${name}${operator}`);
  }
  return parts.toReversed().join(" / ");
}
