import type { Tensor } from "../tensor.ts";

/*
 * When may a run take place on the thread that reads requests? It spares two wake-ups of idle processors, which cost a small
 * model more than its own work, and it stops everything else on that thread meanwhile. So only a model that was seen to be
 * short, for inputs of the very shapes that it was seen with, and only for a client that has the device to itself.
 */

export interface InlineLimits {
  /** Lone runs of the same shapes, one after the other and each short enough, before a session is opened here. */
  readonly provingRuns: number;
  /** Longest run that counts as short. */
  readonly maxRunUs: number;
  /** So many longer ones end it for good. */
  readonly maxLateRuns: number;
}

export const inlineLimits: InlineLimits = { provingRuns: 16, maxRunUs: 25_000, maxLateRuns: 3 };

export type InlineState =
  | { readonly kind: "proving"; readonly shapes: string; readonly runs: number }
  | { readonly kind: "proved"; readonly shapes: string; readonly lateRuns: number }
  | { readonly kind: "refused" };

export interface InlineRun {
  readonly shapes: string;
  readonly runUs: number;
  /** Where it took place. */
  readonly inline: boolean;
}

export const unproved: InlineState = { kind: "proving", shapes: "", runs: 0 };

/** The state after one more lone run. */
export function noteInlineRun(state: InlineState, run: InlineRun, limits: InlineLimits = inlineLimits): InlineState {
  if (state.kind === "refused") return state;
  const short = run.runUs <= limits.maxRunUs;
  if (state.kind === "proved") {
    if (!run.inline || short) return state;
    const lateRuns = state.lateRuns + 1;
    return lateRuns >= limits.maxLateRuns ? { kind: "refused" } : { ...state, lateRuns };
  }
  if (!short) return unproved;
  const runs = run.shapes === state.shapes ? state.runs + 1 : 1;
  if (runs >= limits.provingRuns) return { kind: "proved", shapes: run.shapes, lateRuns: 0 };
  return { kind: "proving", shapes: run.shapes, runs };
}

export function mayRunInline(state: InlineState, shapes: string): boolean {
  return state.kind === "proved" && state.shapes === shapes;
}

/** Equal for inputs that cost the same to a model without data-dependent shapes. */
export function toShapes(inputs: readonly Tensor[]): string {
  return inputs.map(({ name, shape }) => `${name}:${shape.join("x")}`).join(" ");
}
