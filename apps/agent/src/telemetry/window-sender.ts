import type { Logger } from "@fairlead/kernel";
import type { TelemetryWindow } from "@fairlead/protocol";
import { canMergeWindows, mergeWindows } from "@fairlead/telemetry";
import type { TelemetryOutbox } from "./ports.ts";

/** A window that is refused for its content would be refused again. */
const permanent: ReadonlySet<string> = new Set(["item_invalid", "item_too_large"]);

/** Hands windows to the outbox; one that it has no room for now is kept and merged with the next. */
export function createWindowSender(outbox: TelemetryOutbox, logger: Logger): (window: TelemetryWindow) => void {
  let kept: TelemetryWindow | null = null;
  return (window) => {
    const merged: TelemetryWindow =
      kept !== null && canMergeWindows(kept, window) ? mergeWindows(kept, window) : window;
    const outcome = outbox.append("telemetry", { windows: [merged] });
    kept = outcome.kind === "stored" || permanent.has(outcome.code) ? null : merged;
    if (outcome.kind === "refused")
      logger.warn("a telemetry window was refused", {
        code: outcome.code,
        reason: outcome.reason,
        kept: kept !== null,
      });
  };
}
