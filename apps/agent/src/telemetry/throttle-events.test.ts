import type { EventData, TelemetryWindow } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { createThrottleEvents } from "./throttle-events.ts";

const window = (throttled: number | null) =>
  ({ host: { throttled: { value: throttled }, temperatureC: { value: 81 } } }) as unknown as TelemetryWindow;

it("tells once when throttling begins and once when it ends; a missing reading changes nothing", () => {
  const events: EventData[] = [];
  const changes: boolean[] = [];
  const look = createThrottleEvents(
    (event) => void events.push(event),
    (throttled) => void changes.push(throttled),
  );
  for (const value of [0, null, 0.2, 1, null, 0.1, 0, 0, null]) look(window(value));
  expect(changes).toEqual([true, false]);
  expect(events).toEqual([
    { kind: "throttled", throttled: true, reason: "at 81.0 °C" },
    { kind: "throttled", throttled: false, reason: "at 81.0 °C" },
  ]);
});
