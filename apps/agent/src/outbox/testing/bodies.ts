import type { TelemetryWindow } from "@fairlead/protocol";
import type { OutboxBodies } from "../outbox-message.ts";

const absent = { value: null, reason: "not measured here" };
export const startMs = 1_790_000_000_000;

/** One window of ten seconds with one slot that answered `requests` requests. */
export function toWindow(index: number, requests = 3): TelemetryWindow {
  return {
    t0Ms: startMs + index * 10_000,
    t1Ms: startMs + (index + 1) * 10_000,
    mergedWindows: 1,
    host: {
      cpuRatio: { value: 0.25 },
      memoryUsedBytes: { value: 1_000 },
      memoryTotalBytes: { value: 4_000 },
      temperatureC: absent,
      diskFreeBytes: absent,
      diskTotalBytes: absent,
      throttled: absent,
      uptimeS: { value: index },
    },
    energy: {
      method: "modelled",
      scope: "device",
      source: "profile",
      totalJ: { value: 5 },
      idleJ: { value: 4 },
      activeJ: { value: 1 },
    },
    slots: [
      {
        slot: "reader",
        model: "digit-reader",
        version: "1.0.0",
        buildDigest: `sha256:${"a".repeat(64)}`,
        requests,
        errors: {},
        latencyUs: { scale: 3, zeroCount: 0, offset: 70, counts: [requests], sum: requests * 500, min: 500, max: 500 },
        confidence: null,
        classCounts: null,
        outputMin: null,
        outputMax: null,
        nanCount: 0,
        busyUs: requests * 500,
        activeJ: { value: 1 },
        joulesPerInference: { value: 1 / requests },
      },
    ],
  };
}

export const toTelemetry = (index: number): OutboxBodies["telemetry"] => ({ windows: [toWindow(index)] });

/** A window of twenty slots with a thousand labels each, of which the first `replaced` have another build. */
export function toWideTelemetry(index: number, replaced: number): OutboxBodies["telemetry"] {
  const window = toWindow(index);
  const classCounts = Object.fromEntries(Array.from({ length: 1_000 }, (_, label) => [String(label), 17]));
  const slots = Array.from({ length: 20 }, (_, number) => {
    const build = `sha256:${(number < replaced ? "b" : "a").repeat(64)}`;
    return window.slots.map((slot) => ({ ...slot, slot: `cam-${number}`, buildDigest: build, classCounts }));
  });
  return { windows: [{ ...window, slots: slots.flat() }] };
}

export const toReply = (): OutboxBodies["reply"] => ({
  commandId: `cmd-${"0".repeat(26)}`,
  outcome: "done",
  code: null,
  reason: null,
});
