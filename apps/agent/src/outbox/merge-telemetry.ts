import { canMergeWindows, mergeWindows } from "@fairlead/telemetry";
import type { TelemetryWindow } from "@fairlead/protocol";

/** Windows of two neighbouring batches as few as the wire schema admits, in their order. */
export function mergeBatches(
  older: readonly TelemetryWindow[],
  newer: readonly TelemetryWindow[],
): readonly TelemetryWindow[] {
  const merged: TelemetryWindow[] = [];
  for (const window of [...older, ...newer]) {
    const last = merged.at(-1);
    if (last !== undefined && canMergeWindows(last, window)) merged[merged.length - 1] = mergeWindows(last, window);
    else merged.push(window);
  }
  return merged;
}

/** How many original windows a batch stands for. */
export function toWindowCount(windows: readonly TelemetryWindow[]): number {
  return windows.reduce((sum, window) => sum + window.mergedWindows, 0);
}
