import { describe, expect, test } from "vitest";
import { applyRolloutAction } from "./actions.ts";
import { toCohorts } from "./standing.ts";
import { toRolloutStatus } from "./status.ts";
import { createFleet, newRelease, oldRelease, toCohort, toDevice, toSpec } from "./testing/fleet.ts";
import { checkRolloutSpec } from "./validate.ts";

const names = Array.from({ length: 10 }, (_, index) => `dev-${index}`);
const devices = names.map((name) => toDevice(name));
const agreement = { kind: "agreement", minRatio: 0.9, minRequests: 50 } as const;
const toShadowSpec = (changes: Record<string, unknown> = {}) =>
  toSpec({
    stages: [
      {
        name: "beside",
        target: { kind: "percent", percent: 20 },
        shadow: { share: 0.5 },
        soakMs: 10_000,
        timeoutMs: 60_000,
        gates: [agreement],
        ...changes,
      },
      { name: "canary", target: { kind: "percent", percent: 20 }, soakMs: 10_000, timeoutMs: 60_000 },
      { name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0, timeoutMs: 60_000 },
    ],
  });
const open = (changes: Record<string, unknown> = {}) => {
  const fleet = createFleet(toShadowSpec(changes), devices);
  fleet.settle();
  return fleet;
};
const toStates = (fleet: ReturnType<typeof open>) => fleet.record.stages.map(({ state }) => state);
const toOffered = (fleet: ReturnType<typeof open>) =>
  fleet.record.devices.filter(({ phase }) => phase === "offered").map(({ device }) => device);
const toReverting = (fleet: ReturnType<typeof open>) =>
  fleet.record.devices.filter(({ phase }) => phase === "reverting").map(({ device }) => device);

describe("a stage with a shadow", () => {
  test("offers the release beside what serves, and counts a device that runs it so as succeeded", () => {
    const fleet = open();
    const offers = fleet.log.filter(({ kind }) => kind === "offer");
    expect(offers).toHaveLength(2);
    for (const offer of offers) expect(offer).toMatchObject({ shadow: { share: 0.5 }, previous: oldRelease });
    expect(toStates(fleet)).toEqual(["running", "scheduled", "scheduled"]);
    fleet.answerAll();
    fleet.settle();
    expect(toStates(fleet)).toEqual(["soaking", "scheduled", "scheduled"]);
    const { devices: shown } = toRolloutStatus({ record: fleet.record, fleet: fleet.fleet });
    expect(shown.filter(({ state }) => state === "shadowing")).toHaveLength(2);
    for (const device of fleet.fleet) expect(device.running).toEqual(oldRelease);
  });

  test("has its own devices as the control, which still run what they ran", () => {
    const fleet = open();
    const cohorts = toCohorts({ record: fleet.record, fleet: fleet.fleet });
    expect(cohorts).toMatchObject({ shadow: true, control: toOffered(fleet), treatment: toOffered(fleet) });
  });

  test("hands its devices on to the next stage, which installs the release there first", () => {
    const fleet = open();
    const first = toOffered(fleet);
    fleet.answerAll();
    fleet.settle();
    fleet.setEvidence({ treatment: toCohort(), control: toCohort() });
    fleet.advance(10_000);
    fleet.settle();
    expect(toStates(fleet)).toEqual(["passed", "running", "scheduled"]);
    expect(toOffered(fleet)).toEqual(first);
    const again = fleet.log.filter(({ kind }) => kind === "offer").slice(2);
    expect(again).toHaveLength(2);
    for (const offer of again) expect(offer).toMatchObject({ shadow: null, attempt: 2, previous: oldRelease });
    fleet.answerAll();
    fleet.settle();
    fleet.advance(10_000);
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    expect(fleet.record.state).toBe("succeeded");
    for (const device of fleet.fleet)
      expect(device.running).toEqual({ ...newRelease, rolloutId: "ro-1", attempt: device.desired?.attempt });
  });

  test("turns back when the two disagree, before any device has served the release", () => {
    const fleet = open();
    fleet.answerAll();
    fleet.settle();
    fleet.setEvidence({ treatment: toCohort({ agreement: { compared: 60, agreed: 20 } }), control: toCohort() });
    const decisions = fleet.settle();
    expect(decisions).toContainEqual(expect.objectContaining({ kind: "fail-stage", code: "agreement_too_low" }));
    const reverts = decisions.filter(({ kind }) => kind === "revert");
    expect(reverts).toHaveLength(2);
    for (const device of fleet.fleet) expect(device.desiredShadowId).toBeNull();
    for (const name of toReverting(fleet)) fleet.change(name, { desiredSeen: true });
    fleet.settle();
    expect(fleet.record.state, "it still runs beside").toBe("rolling_back");
    fleet.answerAll("already_installed");
    fleet.settle();
    expect(fleet.record.state).toBe("rolled_back");
    for (const device of fleet.fleet) expect(device.running?.releaseId).toBe(oldRelease.releaseId);
  });

  test("fails when a shadow dies, although nobody was answered by it", () => {
    const fleet = open();
    fleet.answerAll();
    fleet.settle();
    const [name = ""] = toOffered(fleet);
    fleet.answer(name, "rolled_back");
    fleet.settle();
    expect(fleet.log).toContainEqual(expect.objectContaining({ kind: "fail-stage" }));
  });

  test("is left by a device that somebody gave another release, instead of taking that back", () => {
    const fleet = open();
    fleet.answerAll();
    fleet.settle();
    const [name = ""] = toOffered(fleet);
    const other = { releaseId: "rel-other", version: "0.9.0", rolloutId: null, attempt: 7 };
    fleet.change(name, { desired: other, desiredShadowId: null, shadowingId: null, job: null });
    const decisions = fleet.settle();
    expect(decisions).toContainEqual(expect.objectContaining({ kind: "record-outcome", code: "withdrawn" }));
    expect(decisions.filter((decision) => "device" in decision && decision.device === name)).not.toContainEqual(
      expect.objectContaining({ kind: "revert" }),
    );
  });

  test("is promoted by a person in one step", () => {
    const fleet = open({ approval: "manual" });
    fleet.answerAll();
    fleet.settle();
    fleet.setEvidence({ treatment: toCohort(), control: toCohort() });
    fleet.advance(10_000);
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "paused", pauseReason: "approval" });
    fleet.record = applyRolloutAction(fleet.record, { action: "promote", actor: "ada", reason: "" }, fleet.nowMs);
    expect(fleet.settle().filter(({ kind }) => kind === "offer")).toMatchObject([{ shadow: null }, { shadow: null }]);
  });

  test("waits for enough compared inputs, and fails when they do not come", () => {
    const fleet = open();
    fleet.answerAll();
    fleet.settle();
    fleet.setEvidence({ treatment: toCohort({ agreement: { compared: 49, agreed: 49 } }), control: toCohort() });
    fleet.advance(10_000);
    fleet.settle();
    expect(toStates(fleet)[0]).toBe("soaking");
    fleet.advance(60_000);
    expect(fleet.settle()).toContainEqual(expect.objectContaining({ kind: "fail-stage", code: "evidence_timeout" }));
  });
});

describe("a specification with a shadow", () => {
  const context = {
    rolloutId: "ro-1",
    releaseId: newRelease.releaseId,
    labels: 10,
    labelsOf: new Map(),
    fleet: devices,
  };

  test("may compare with the control in its shadow stage, also where that stage has every device", () => {
    const gates = [{ kind: "latency", against: "control", quantile: 0.95, maxRatio: 2, minRequests: 10 } as const];
    const spec = toSpec({
      stages: [
        { name: "beside", target: { kind: "percent", percent: 100 }, shadow: {}, soakMs: 1, gates },
        { name: "all", target: { kind: "percent", percent: 100 }, soakMs: 1 },
      ],
    });
    expect(checkRolloutSpec(spec, context)).toEqual([]);
  });

  test.each([
    [
      "ends with the shadow",
      [{ name: "beside", target: { kind: "percent", percent: 100 }, shadow: {} }],
      devices,
      ["stages_incomplete"],
    ],
    [
      "asks for agreement where nothing runs beside",
      [{ name: "all", target: { kind: "percent", percent: 100 }, gates: [agreement] }],
      devices,
      ["gate_unfeedable"],
    ],
    [
      "runs a shadow where nothing serves",
      [
        { name: "beside", target: { kind: "percent", percent: 100 }, shadow: {} },
        { name: "all", target: { kind: "percent", percent: 100 } },
      ],
      [toDevice("bare", { running: null, desired: null })],
      ["gate_unfeedable"],
    ],
  ])("is refused when it %s", (...[, stages, fleet, codes]) => {
    expect(checkRolloutSpec(toSpec({ stages }), { ...context, fleet }).map(({ code }) => code)).toEqual(codes);
  });
});
