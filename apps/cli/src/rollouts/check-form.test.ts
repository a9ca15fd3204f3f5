import { rolloutSpecSchema } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { checkRolloutForm } from "./check-form.ts";

const stage = (name: string, percent: number, more: object = {}) => ({
  ...{ name, target: { kind: "percent", percent } },
  ...more,
});
const check = (stages: readonly object[], more: object = {}) =>
  checkRolloutForm(
    rolloutSpecSchema.parse({
      ...{ slot: "main", model: "digit-reader", version: "1.0.0", selector: "site in (lab,hall),!old" },
      ...{ stages, ...more },
    }),
  ).map(({ code, path }) => `${code} ${path}`);

it.each<[string, readonly object[], string]>([
  ["a last stage below 100 %", [stage("half", 50)], "stages_incomplete stages.0.target.percent"],
  [
    "shares that shrink",
    [stage("a", 60), stage("b", 40), stage("c", 100)],
    "stages_incomplete stages.1.target.percent",
  ],
  ["two stages of one name", [stage("a", 50), stage("a", 100)], "validation_failed stages.1.name"],
  ["a shadow at the end", [stage("all", 100, { shadow: {} })], "stages_incomplete stages.0.shadow"],
  [
    "one gate twice",
    [stage("all", 100, { gates: [1, 0.9].map((minPassedRatio) => ({ kind: "self-test", minPassedRatio })) })],
    "validation_failed stages.0.gates.1",
  ],
])("finds %s without a server", (...[, stages, problem]) => {
  expect(check(stages)).toEqual([problem]);
});

it("finds a selector that was left empty by a slip", () => {
  expect(check([stage("all", 100)], { selector: "" })).toEqual(["selector_empty selector"]);
  expect(check([stage("all", 100)], { selector: "", wholeFleet: true })).toEqual([]);
});

it("says nothing of what only a fleet can answer", () => {
  const gates = [{ kind: "confidence", against: "control", maxDrop: 0.1 }];
  const target = { kind: "selector", selector: "role=canary" };
  expect(check([{ name: "canary", target, gates }, stage("all", 100)], { control: "role=control" })).toEqual([]);
  expect(check([{ name: "canary", target }])).toEqual([]);
  expect(check([stage("all", 100)], { selector: "a=b,a!=b" })).toEqual([]);
});
