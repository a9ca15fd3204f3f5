import { mergeSlotWindows } from "@fairlead/telemetry";
import type { Reading, SlotWindow } from "@fairlead/protocol";
import type { LoadStatistics } from "../serve/ipc.ts";

const open: Reading = { value: null, reason: "the window is not closed yet" };
const maxSlots = 64;

/** Counts of one window, collected in one or several parts. */
export interface WindowCounts {
  add(loads: readonly LoadStatistics[]): void;
  /** What was added since the last call, at most 64 builds: the busiest. Their energy is still to be filled in. */
  take(): SlotWindow[];
}

export function createWindowCounts(): WindowCounts {
  const slots = new Map<string, SlotWindow>();
  return {
    add(loads) {
      for (const { loadId: _, ...counts } of loads) {
        const key = [counts.slot, counts.model, counts.version, counts.buildDigest].join(" ");
        const part: SlotWindow = { ...counts, activeJ: open, joulesPerInference: open };
        const known = slots.get(key);
        slots.set(key, known === undefined ? part : mergeSlotWindows(known, part));
      }
    },
    take() {
      const all = [...slots.values()];
      slots.clear();
      return all.length <= maxSlots ? all : all.toSorted((a, b) => b.requests - a.requests).slice(0, maxSlots);
    },
  };
}

/** What a build on trial is judged by: errors of its own, not those of the client, of a full queue or of a stop. */
export function toTrialCounts({ requests, errors }: Pick<LoadStatistics, "requests" | "errors">): {
  readonly requests: number;
  readonly errors: number;
} {
  return { requests, errors: (errors.runtime ?? 0) + (errors.deadline ?? 0) + (errors.crash ?? 0) };
}
