import { silentLogger } from "@fairlead/kernel";
import type { EventData, TelemetryWindow } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { HeatWatch, type HeatWatchOptions } from "./heat-watch.ts";

const toWindow = (throttled: number | null, temperatureC = 81) =>
  ({ host: { throttled: { value: throttled }, temperatureC: { value: temperatureC } } }) as unknown as TelemetryWindow;

function openWatch() {
  const events: EventData[] = [];
  const told: unknown[] = [];
  const serving: HeatWatchOptions["serving"] = {
    request: (request) => {
      told.push(request);
      return Promise.reject(new Error("it is not there"));
    },
  };
  const watch = new HeatWatch({
    limits: { warnC: 85, criticalC: null },
    serving,
    emit: (event) => void events.push(event),
    logger: silentLogger,
  });
  return { watch, events, told };
}

it("tells once when throttling begins and once when it ends; a missing reading changes nothing", () => {
  const { watch, events, told } = openWatch();
  for (const value of [0, null, 0.2, 1, null, 0.1, 0, 0, null]) watch.onWindow(toWindow(value));
  expect(told).toEqual([
    { kind: "throttle", throttled: true },
    { kind: "throttle", throttled: false },
  ]);
  expect(events).toEqual([
    { kind: "throttled", throttled: true, reason: "at 81.0 °C; the board's sensor says that it throttles" },
    { kind: "throttled", throttled: false, reason: "at 81.0 °C" },
  ]);
});

it("tells a serving process that starts again only while the device is hot", () => {
  const { watch, told } = openWatch();
  watch.onServingReady();
  expect(told).toEqual([]);
  watch.onWindow(toWindow(null, 90));
  watch.onServingReady();
  expect(told).toEqual([
    { kind: "throttle", throttled: true },
    { kind: "throttle", throttled: true },
  ]);
  watch.onWindow(toWindow(null, 50));
  watch.onServingReady();
  expect(told).toHaveLength(3);
});
