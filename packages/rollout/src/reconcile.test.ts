import { describe, expect, test } from "vitest";
import { applyRolloutAction } from "./actions.ts";
import { toCohorts } from "./standing.ts";
import { toRolloutStatus } from "./status.ts";
import { createFleet, newRelease, oldRelease, toCohort, toDevice, toSpec } from "./testing/fleet.ts";

const names = Array.from({ length: 10 }, (_, index) => `dev-${index}`);
const devices = names.map((name) => toDevice(name));
const gated = (onFailure: "rollback" | "pause" = "rollback") =>
  toSpec({
    onFailure,
    stages: [
      {
        name: "canary",
        target: { kind: "percent", percent: 20 },
        soakMs: 10_000,
        timeoutMs: 60_000,
        gates: [{ kind: "confidence", against: "absolute", minMean: 0.8, minRequests: 50 }],
      },
      { name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0, timeoutMs: 60_000 },
    ],
  });
const ask = (fleet: ReturnType<typeof createFleet>, action: Parameters<typeof applyRolloutAction>[1]["action"]) => {
  fleet.record = applyRolloutAction(fleet.record, { action, actor: "ada", reason: "" }, fleet.nowMs);
};

describe("a device whose release somebody else takes back", () => {
  test("fails its stage, so that the rollout turns back instead of waiting for evidence that cannot come", () => {
    const fleet = createFleet(gated(), devices);
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    const [taken] = fleet.record.devices.filter(({ phase }) => phase === "offered");
    fleet.change(taken?.device ?? "", {
      desired: { ...oldRelease, rolloutId: null, attempt: 2 },
      job: null,
      running: oldRelease,
    });
    const decisions = fleet.settle();
    expect(decisions).toContainEqual(expect.objectContaining({ kind: "record-outcome", code: "withdrawn" }));
    expect(decisions).toContainEqual(expect.objectContaining({ kind: "start-rollback" }));
  });

  test("is settled once, although its own job goes on saying that it succeeded, and fails the stage that runs now", () => {
    const fleet = createFleet(
      toSpec({ stages: [50, 100].map((percent) => ({ name: `p${percent}`, target: { kind: "percent", percent } })) }),
      devices,
    );
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    fleet.advance(1_000_000);
    fleet.settle();
    expect(fleet.record.stages.map(({ state }) => state)).toEqual(["passed", "running"]);
    const taken = fleet.record.devices.find(({ stageIndex }) => stageIndex === 0)?.device ?? "";
    fleet.change(taken, { desired: { ...oldRelease, rolloutId: null, attempt: 2 }, running: oldRelease });
    const decisions = fleet.settle();
    expect(decisions.filter(({ kind }) => kind === "record-outcome")).toHaveLength(1);
    expect(decisions).toContainEqual(expect.objectContaining({ kind: "start-rollback" }));
    expect(fleet.decide()).toEqual([]);
  });
});

describe("a good rollout", () => {
  test("goes stage by stage to the end and takes newcomers afterwards", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.settle();
    expect(fleet.log.filter(({ kind }) => kind === "offer")).toHaveLength(2);
    fleet.answerAll();
    fleet.settle();
    expect(fleet.record.stages[0]?.state).toBe("soaking");
    fleet.advance(9_999);
    fleet.settle();
    expect(fleet.record.stages[0]?.state).toBe("soaking");
    fleet.advance(1);
    fleet.settle();
    expect(fleet.record.stages.map(({ state }) => state)).toEqual(["passed", "running"]);
    fleet.answerAll();
    fleet.settle();
    fleet.advance(10_000);
    fleet.settle();
    expect(fleet.record.state).toBe("succeeded");
    expect(fleet.log.filter(({ kind }) => kind === "offer")).toHaveLength(10);
    fleet.change("dev-new", {});
    expect(fleet.settle().map(({ kind }) => kind)).toEqual(["plan-device", "offer"]);
    expect(fleet.decide()).toEqual([]);
  });

  test("is undone on every device, the newcomer included", () => {
    const fleet = createFleet(
      toSpec({ stages: [{ name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0 }] }),
      devices,
    );
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    expect(fleet.record.state).toBe("succeeded");
    ask(fleet, "undo");
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "rolled_back", code: "undone" });
    expect(fleet.fleet.every(({ running }) => running?.releaseId === oldRelease.releaseId)).toBe(true);
  });

  test("asks a person where the stage says so, and still stops while it waits", () => {
    const spec = gated();
    const manual = { ...spec, stages: spec.stages.map((stage) => ({ ...stage, approval: "manual" as const })) };
    const fleet = createFleet(manual, devices);
    const good = { treatment: toCohort(), control: toCohort() };
    fleet.settle();
    fleet.answerAll();
    fleet.setEvidence(good);
    fleet.settle();
    fleet.advance(10_000);
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "paused", pauseReason: "approval" });
    expect(() => ask(fleet, "resume")).toThrowError(expect.objectContaining({ code: "transition_refused" }));
    fleet.setEvidence({ ...good, treatment: toCohort({ meanConfidence: 0.1 }) });
    fleet.settle();
    expect(fleet.record.state).toBe("rolling_back");
  });
});

describe("a bad rollout", () => {
  test("is stopped by its gate before the soak is over, and every touched device goes back", () => {
    const fleet = createFleet(gated(), devices);
    fleet.settle();
    fleet.answer(fleet.record.devices.find(({ phase }) => phase === "offered")!.device);
    fleet.setEvidence({ treatment: toCohort({ meanConfidence: 0.41 }), control: toCohort() });
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "rolling_back", code: "confidence_too_low" });
    expect(fleet.record.reason).toContain("0.41");
    expect(fleet.record.stages.map(({ state }) => state)).toEqual(["failed", "skipped"]);
    expect(fleet.log.filter(({ kind }) => kind === "revert")).toHaveLength(2);
    fleet.answerAll();
    fleet.settle();
    expect(fleet.record.state).toBe("rolled_back");
    expect(fleet.fleet.every(({ running }) => running?.releaseId === oldRelease.releaseId)).toBe(true);
    expect(fleet.fleet.every(({ desired }) => desired?.releaseId === oldRelease.releaseId)).toBe(true);
  });

  test("waits for a touched device that is away instead of calling it reverted", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.settle();
    const [away, here] = fleet.record.devices.filter(({ phase }) => phase === "offered").map(({ device }) => device);
    fleet.answer(here!, "failed");
    fleet.change(away!, { online: false });
    fleet.settle();
    fleet.answer(here!);
    fleet.settle();
    // It still runs the previous release by its last report, but it may be switching: only an answer counts.
    expect(fleet.record.state).toBe("rolling_back");
    expect(fleet.decide()).toEqual([]);
    fleet.change(away!, { online: true });
    fleet.answer(away!, "already_installed");
    fleet.settle();
    expect(fleet.record.state).toBe("rolled_back");
  });

  test("ends in rollback_failed when a device cannot go back, and retry asks again", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    ask(fleet, "abort");
    fleet.settle();
    fleet.answerAll("failed");
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "rollback_failed", code: "revert_failed" });
    ask(fleet, "retry");
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    expect(fleet.record.state).toBe("rolled_back");
  });

  test("pauses where the specification says so; resume judges the stage afresh", () => {
    const fleet = createFleet(gated("pause"), devices);
    fleet.settle();
    fleet.answerAll();
    const bad = { treatment: toCohort({ meanConfidence: Number.NaN }), control: toCohort() };
    fleet.setEvidence(bad);
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "paused", pauseReason: "gate_failed", code: "not_finite" });
    expect(fleet.decide()).toEqual([]);
    ask(fleet, "resume");
    fleet.settle();
    expect(fleet.record.pauseReason).toBe("gate_failed");
    ask(fleet, "resume");
    fleet.setEvidence({ ...bad, treatment: toCohort() });
    fleet.settle();
    fleet.advance(10_000);
    fleet.settle();
    expect(fleet.record.stages[0]?.state).toBe("passed");
  });

  test("fails when evidence does not come in time after the soak", () => {
    const fleet = createFleet(gated(), devices);
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    fleet.advance(69_999);
    fleet.settle();
    expect(fleet.record.state).toBe("running");
    fleet.advance(1);
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "rolling_back", code: "evidence_timeout" });
  });
});

describe("devices", () => {
  test("in quarantine are not offered, and join when they come back", () => {
    const fleet = createFleet(toSpec(), [toDevice("a", { lifecycle: "quarantined" }), toDevice("b")]);
    fleet.settle();
    expect(fleet.record.devices.map(({ device }) => device)).toEqual(["b"]);
    fleet.change("a", { lifecycle: "enrolled" });
    fleet.settle();
    expect(fleet.record.devices.find(({ device }) => device === "a")?.stageIndex).toBe(1);
  });

  test("that come into quarantine on the way are shown as such, not only as working", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.settle();
    const [first] = fleet.record.devices.filter(({ phase }) => phase === "offered");
    fleet.change(first!.device, { lifecycle: "quarantined" });
    fleet.settle();
    expect(toRolloutStatus(fleet).devices.find(({ device }) => device === first!.device)).toMatchObject({
      code: "quarantined",
      reason: "the device is quarantined",
    });
  });

  test("that are silent are unknown, never succeeded", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.settle();
    fleet.answerAll();
    const [first] = fleet.record.devices.filter(({ phase }) => phase === "offered");
    fleet.change(first!.device, { online: false });
    fleet.settle();
    const status = toRolloutStatus(fleet);
    expect(status.stages[0]?.counts).toMatchObject({ planned: 2, succeeded: 1, unknown: 1 });
    expect(status.stages[0]?.state).toBe("running");
    fleet.advance(60_000);
    fleet.settle();
    expect(fleet.record.code).toBe("stage_timeout");
  });

  test("that failed are offered again by retry, with the next attempt and the same way back", () => {
    const spec = toSpec({
      stages: [
        {
          name: "all",
          target: { kind: "percent", percent: 100 },
          soakMs: 0,
          successRatio: 0.5,
          maxFailures: { count: 5 },
        },
      ],
    });
    const fleet = createFleet(spec, devices);
    fleet.settle();
    fleet.answer("dev-0", "failed");
    fleet.settle();
    ask(fleet, "retry");
    expect(fleet.settle()).toContainEqual(
      expect.objectContaining({ kind: "offer", device: "dev-0", attempt: 2, previous: oldRelease }),
    );
  });

  test("whose request got lost are asked again with the same attempt", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.settle();
    const [first] = fleet.record.devices.filter(({ phase }) => phase === "offered");
    fleet.change(first!.device, { desired: { ...oldRelease, rolloutId: null, attempt: 1 } });
    expect(fleet.decide()).toMatchObject([{ kind: "offer", device: first!.device, attempt: 1, code: "request_lost" }]);
  });

  test("of the control selector come last and are the control cohort", () => {
    const labelled = devices.map((device, index) => ({ ...device, labels: { role: index < 5 ? "control" : "field" } }));
    const fleet = createFleet(toSpec({ control: "role=control" }), labelled);
    fleet.settle();
    const cohorts = toCohorts(fleet);
    expect(new Set(cohorts?.control)).toEqual(new Set(names.slice(0, 5)));
    expect(cohorts?.treatment).toHaveLength(2);
    expect(
      fleet.record.devices
        .filter(({ stageIndex }) => stageIndex === 0)
        .every(({ device }) => !names.slice(0, 5).includes(device)),
    ).toBe(true);
    expect(newRelease.releaseId).toBe(fleet.record.releaseId);
  });

  test("time spent paused does not count against the stage", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.settle();
    ask(fleet, "pause");
    fleet.advance(600_000);
    expect(fleet.settle()).toEqual([]);
    ask(fleet, "resume");
    fleet.settle();
    expect(fleet.record.state).toBe("running");
  });
});
