import type { EventData, TelemetryWindow } from "@fairlead/protocol";

/** One event when the board begins to throttle and one when it ends; a missing reading changes nothing. */
export function createThrottleEvents(
  emit: (data: EventData) => void,
  onChange: (throttled: boolean) => void,
): (window: TelemetryWindow) => void {
  let throttled = false;
  return ({ host }) => {
    if (host.throttled.value === null) return;
    const now = host.throttled.value > 0;
    if (now === throttled) return;
    throttled = now;
    onChange(now);
    const temperature = host.temperatureC.value;
    const reason = temperature === null ? "the board's sensor says so" : `at ${temperature.toFixed(1)} °C`;
    emit({ kind: "throttled", throttled, reason });
  };
}
