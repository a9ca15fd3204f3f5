import { eventDataSchema, type EventData } from "@fairlead/protocol";
import { describe, expect, it } from "vitest";
import { toReportedRefusal } from "./reported-refusal.ts";

const buildDigest = `sha256:${"a".repeat(64)}`;
const step = (state: string): EventData => ({
  kind: "job-step",
  slot: "reader",
  state,
  code: "digest_mismatch",
  reason: "it differs",
});

describe("what a device refused, by its own word", () => {
  it.each<[EventData, string, string]>([
    [
      { kind: "refused", what: "desired-state", code: "signature_invalid", reason: "no" },
      "device.refuse-desired-state",
      "signature_invalid",
    ],
    [
      { kind: "refused", what: "command", code: "command_expired", reason: "no" },
      "device.refuse-command",
      "command_expired",
    ],
    [
      { kind: "refused", what: "release", code: "release_not_vouched", reason: "no" },
      "device.refuse-release",
      "release_not_vouched",
    ],
    [step("rejected"), "device.refuse-build", "digest_mismatch"],
    [step("failed"), "device.refuse-build", "digest_mismatch"],
    [step("rolled_back"), "device.refuse-build", "digest_mismatch"],
    [
      { kind: "freshness", state: "overdue", untilMs: 1, reason: "nobody says so" },
      "device.freshness-overdue",
      "nobody says so",
    ],
    [{ kind: "reverted", slot: "reader", buildDigest, reason: "it crashed" }, "device.revert-build", "it crashed"],
  ])("%o is told as %s", (event, action, reason) => {
    expect(eventDataSchema.parse(event)).toEqual(event);
    expect(toReportedRefusal(event)).toMatchObject({ action, reason });
  });

  it.each<EventData>([
    step("succeeded"),
    step("downloading"),
    { kind: "clock-skew", skewMs: 1 },
    { kind: "throttled", throttled: true, reason: "hot" },
  ])("%o refuses nothing", (event) => expect(toReportedRefusal(event)).toBeNull());
});
