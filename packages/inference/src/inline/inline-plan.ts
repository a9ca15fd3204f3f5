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
  /** So many longer ones end it, as far as they are not forgiven. */
  readonly maxLateRuns: number;
  /** In place of `provingRuns` for a model that was late here: what is long now and then stays away nearly always. */
  readonly returningRuns: number;
  /** After so many short runs in a row one late run is forgiven: a busy moment of the device says nothing of the model. */
  readonly forgivingRuns: number;
}

export const inlineLimits: InlineLimits = {
  ...{ provingRuns: 16, maxRunUs: 25_000 },
  ...{ maxLateRuns: 3, returningRuns: 1_024, forgivingRuns: 256 },
};

export type InlineState =
  | ProvingState
  | ProvedState
  /** No session can be opened here. */
  | { readonly kind: "refused" };

interface ProvingState {
  readonly kind: "proving";
  readonly shapes: string;
  readonly runs: number;
  /** Whether it was proved before, and late. */
  readonly wasLate: boolean;
}

interface ProvedState {
  readonly kind: "proved";
  readonly shapes: string;
  readonly lateRuns: number;
  /** Since the last late one; counted only while there is one to forgive. */
  readonly shortRuns: number;
}

export interface InlineRun {
  readonly shapes: string;
  readonly runUs: number;
  /** Where it took place. */
  readonly inline: boolean;
}

export const unproved: ProvingState = { kind: "proving", shapes: "", runs: 0, wasLate: false };

/** The state after one more lone run. */
export function noteInlineRun(state: InlineState, run: InlineRun, limits: InlineLimits = inlineLimits): InlineState {
  if (state.kind === "refused") return state;
  const short = run.runUs <= limits.maxRunUs;
  if (state.kind === "proved") {
    if (!run.inline) return state;
    if (short) return forgive(state, limits.forgivingRuns);
    const lateRuns = state.lateRuns + 1;
    return lateRuns >= limits.maxLateRuns ? { ...unproved, wasLate: true } : { ...state, lateRuns, shortRuns: 0 };
  }
  const { wasLate } = state;
  if (!short) return { ...unproved, wasLate };
  const runs = run.shapes === state.shapes ? state.runs + 1 : 1;
  if (runs >= (wasLate ? limits.returningRuns : limits.provingRuns))
    return { kind: "proved", shapes: run.shapes, lateRuns: 0, shortRuns: 0 };
  return { kind: "proving", shapes: run.shapes, runs, wasLate };
}

function forgive(state: ProvedState, forgivingRuns: number): ProvedState {
  if (state.lateRuns === 0) return state;
  const shortRuns = state.shortRuns + 1;
  return shortRuns < forgivingRuns ? { ...state, shortRuns } : { ...state, lateRuns: state.lateRuns - 1, shortRuns: 0 };
}

export function mayRunInline(state: InlineState, shapes: string): boolean {
  return state.kind === "proved" && state.shapes === shapes;
}

/** Equal for inputs that cost the same to a model without data-dependent shapes. */
export function toShapes(inputs: readonly Tensor[]): string {
  return inputs.map(({ name, shape }) => `${name}:${shape.join("x")}`).join(" ");
}
