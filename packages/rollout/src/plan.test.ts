import fc from "fast-check";
import type { GateSpec } from "@fairlead/protocol";
import { describe, expect, test } from "vitest";
import { hasStageFor, planStages, toQuota } from "./plan.ts";
import { toDevice, toSpec } from "./testing/fleet.ts";
import { checkRolloutSpec } from "./validate.ts";

const spec = toSpec({
  stages: [10, 33.3, 100].map((percent) => ({ name: `p${Math.floor(percent)}`, target: { kind: "percent", percent } })),
});

describe("the plan", () => {
  test("reaches each cumulative share, rounded up, and everybody in the end", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,8}$/u), { minLength: 1, maxLength: 60 }), (names) => {
        const candidates = names.map((device) => ({ device, labels: {} }));
        const options = { rolloutId: "ro-1", spec, candidates, assigned: new Map<string, number>(), openFrom: 0 };
        const planned = planStages(options);
        const upTo = (index: number) => [...planned.values()].filter((stage) => stage <= index).length;
        expect(upTo(0)).toBe(toQuota(10, names.length));
        expect(upTo(1)).toBe(toQuota(33.3, names.length));
        expect(planned.size).toBe(names.length);
        expect(new Map(planStages({ ...options, candidates: candidates.toReversed() }))).toEqual(planned);
        expect(planStages({ ...options, candidates: [], assigned: planned }).size).toBe(0);
      }),
    );
  });

  test("does not ask for a device too many because of binary fractions", () => {
    expect(toQuota(33.3, 1_000)).toBe(333);
    expect(toQuota(0.1, 3)).toBe(1);
    expect(toQuota(10, 0)).toBe(0);
  });
});

test("a device that no selector of the stages names has a stage only where a share of the fleet is one", () => {
  const front = { name: "front", target: { kind: "selector", selector: "row=front" } };
  const share = { name: "share", target: { kind: "percent", percent: 100 } };
  const has = (stages: readonly object[], row: string) => hasStageFor(toSpec({ stages: stages as [] }), { row });
  expect([has([front], "front"), has([front], "back"), has([front, share], "back")]).toEqual([true, false, true]);
});

describe("the check", () => {
  const context = {
    rolloutId: "ro-1",
    releaseId: "rel-new",
    labels: 10,
    labelsOf: new Map<string, number | null>([["rel-old", 10]]),
    fleet: ["a", "b", "c", "d"].map((name) => toDevice(name, { labels: { site: name } })),
  };
  const stage = (name: string, percent: number, gates: readonly GateSpec[] = []) => ({
    name,
    target: { kind: "percent", percent },
    soakMs: 60_000,
    gates,
  });
  const check = (changes: Parameters<typeof toSpec>[0], more = {}) =>
    checkRolloutSpec(toSpec(changes), { ...context, ...more }).map(({ code, path }) => `${code} ${path}`);
  const drop: GateSpec = { kind: "confidence", minRequests: 50, against: "control", maxDrop: 0.1 };
  const drift: GateSpec = { kind: "drift", minRequests: 50, against: "control", maxDivergence: 0.1 };
  /** What the devices of the sites run, as the number of their release's classes. */
  const running = (bySite: Readonly<Record<string, number | null>>) => ({
    labelsOf: new Map(Object.entries(bySite).map(([site, labels]) => [`rel-${site}`, labels])),
    fleet: context.fleet.map((device) => ({
      ...device,
      running: { releaseId: `rel-${device.device}`, version: `1.0.0-${device.device}` },
    })),
  });

  test("accepts control gates where a control remains", () => {
    expect(check({ stages: [stage("half", 50, [drop]), stage("all", 100)] })).toEqual([]);
  });

  test("accepts a control of which some measure no classes, or run what is not known here", () => {
    const stages = [stage("quarter", 25, [drop, drift]), stage("all", 100)];
    expect(check({ stages }, running({ a: null, b: null, c: 10, d: 10 }))).toEqual([]);
    expect(check({ stages }, running({}))).toEqual([]);
    const [first] = checkRolloutSpec(toSpec({ stages: [stage("half", 50, [drop]), stage("all", 100)] }), {
      ...context,
      ...running({ a: 3, b: 3, c: 3, d: 3 }),
    });
    expect(first?.message).toMatch(/another number of classes: \w with 1\.0\.0-\w has 3, the release has 10/u);
    expect(first?.hint).toContain("such as confidence>=0.6, or name a control");
  });

  test.each<[GateSpec, object, string]>([
    [drop, { labels: null }, "models push --labels LABELS (or --classification OUTPUT:LABELS)"],
    [drop, { fleet: [toDevice("a", { running: null })] }, "such as confidence>=0.6, or move it"],
    [drift, { fleet: [toDevice("a", { running: null })] }, "rollouts create -f FILE"],
  ])("says what to write instead of %j, as the command line takes it", (gate, more, hint) => {
    const problems = checkRolloutSpec(toSpec({ stages: [stage("all", 100, [gate])], selector: "", wholeFleet: true }), {
      ...context,
      ...more,
    });
    expect(problems.map((problem) => problem.hint).join("\n")).toContain(hint);
    expect(problems.map((problem) => problem.hint).join("\n")).not.toContain("against:");
  });

  test.each<[string, Parameters<typeof check>[0], object, string]>([
    ["an empty selector", { selector: "site=nowhere" }, {}, "selector_empty selector"],
    ["an empty control", { control: "site=nowhere" }, {}, "selector_empty control"],
    ["a last stage below 100 %", { stages: [stage("half", 50)] }, {}, "stages_incomplete stages.0.target.percent"],
    [
      "shares that do not grow",
      { stages: [stage("x", 50), stage("y", 50), stage("z", 100)] },
      {},
      "stages_incomplete stages.1.target.percent",
    ],
    [
      "selectors that leave devices out",
      { stages: [{ name: "a", target: { kind: "selector", selector: "site=a" } }] },
      {},
      "stages_incomplete stages",
    ],
    [
      "a control gate in the last stage",
      { stages: [stage("all", 100, [drop])] },
      {},
      "gate_unfeedable stages.0.gates.0",
    ],
    [
      "a control gate in a first rollout",
      { stages: [stage("half", 50, [drop]), stage("all", 100)] },
      { fleet: context.fleet.map((device) => ({ ...device, running: null })) },
      "gate_unfeedable stages.0.gates.0",
    ],
    [
      "confidence without classes",
      { stages: [stage("half", 50, [drop]), stage("all", 100)] },
      { labels: null },
      "gate_unfeedable stages.0.gates.0",
    ],
    ...[drop, drift].flatMap((gate): [string, Parameters<typeof check>[0], object, string][] => [
      [
        `${gate.kind} against a control that measures no classes`,
        { stages: [stage("half", 50, [gate]), stage("all", 100)] },
        running({ a: null, b: null, c: null, d: null }),
        "gate_unfeedable stages.0.gates.0",
      ],
      [
        `${gate.kind} against a control with another number of classes`,
        { stages: [stage("half", 50, [gate]), stage("all", 100)] },
        running({ a: 3, b: 3, c: 3, d: 3 }),
        "gate_unfeedable stages.0.gates.0",
      ],
      [
        `${gate.kind} in a shadow stage beside builds that measure no classes`,
        { stages: [{ ...stage("half", 50, [gate]), shadow: {} }, stage("all", 100)] },
        running({ a: null, b: null, c: null, d: null }),
        "gate_unfeedable stages.0.gates.0",
      ],
    ]),
    [
      "drift of another length",
      {
        stages: [
          stage("all", 100, [
            { kind: "drift", minRequests: 50, against: "absolute", expected: [0.5, 0.5], maxDivergence: 0.1 },
          ]),
        ],
      },
      {},
      "gate_unfeedable stages.0.gates.0",
    ],
    [
      "telemetry gates without soak",
      {
        stages: [
          {
            ...stage("all", 100, [{ kind: "errors", minRequests: 50, against: "absolute", maxRatio: 0.1 }]),
            soakMs: 0,
          },
        ],
      },
      {},
      "gate_unfeedable stages.0.gates.0",
    ],
    [
      "a stage without devices",
      { stages: [{ name: "n", target: { kind: "selector", selector: "site=n" } }, stage("all", 100)] },
      {},
      "selector_empty stages.0.target",
    ],
  ])("refuses %s", (...[, changes, more, problem]) => {
    expect(check(changes, more)).toContain(problem);
  });
});
