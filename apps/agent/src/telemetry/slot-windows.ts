import { mergeSlotWindows, toErrorCount } from "@fairlead/telemetry";
import type { Reading, SlotWindow } from "@fairlead/protocol";
import type { LoadStatistics } from "../serve/ipc.ts";

const later: Reading = { value: null, reason: "not attributed yet" };

export function toSlotWindow(statistics: LoadStatistics): SlotWindow {
  const { loadId: _load, ...counted } = statistics;
  return { ...counted, activeJ: later, joulesPerInference: later };
}

/** Adds up what several collections brought of one window; two loads of one build in one slot are one. */
export class SlotWindows {
  readonly #windows = new Map<string, SlotWindow>();

  add(window: SlotWindow): void {
    const key = [window.slot, window.model, window.version, window.buildDigest].join(" ");
    const known = this.#windows.get(key);
    this.#windows.set(key, known === undefined ? window : mergeSlotWindows(known, window));
  }

  take(): SlotWindow[] {
    const windows = [...this.#windows.values()].slice(0, 64);
    this.#windows.clear();
    return windows;
  }
}

/** Inferences that were answered without error. */
export function toInferences(window: SlotWindow): number {
  return Math.max(0, window.requests - toErrorCount(window.errors));
}

/** Errors that the build itself is to blame for. */
export function toOwnErrors({ errors }: Pick<SlotWindow, "errors">): number {
  return (errors.runtime ?? 0) + (errors.deadline ?? 0) + (errors.crash ?? 0);
}
