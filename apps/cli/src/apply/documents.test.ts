import { expect, it } from "vitest";
import { toChangeLines, toChanges } from "./diff.ts";
import { parseFleetFile } from "./documents.ts";

const labels = "apiVersion: fairlead/v1\nkind: DeviceLabels\nspec: { device: lab-1, labels: { site: lab } }\n";

it("reads many documents and fills defaults", () => {
  const token = "apiVersion: fairlead/v1\nkind: EnrolmentToken\nspec: { description: first, uses: 3 }\n";
  expect(parseFleetFile(`${labels}---\n${token}`, "fleet.yaml").map((document) => document.kind)).toEqual([
    "DeviceLabels",
    "EnrolmentToken",
  ]);
});

it("reports every problem with its place and suggests the kind", () => {
  const wrong = "apiVersion: fairlead/v1\nkind: Rolout\nspec: {}\n";
  expect(() => parseFleetFile(`${labels}---\n${wrong}---\na: [`, "fleet.yaml")).toThrow(
    expect.objectContaining({
      message: expect.stringMatching(/document 2[\s\S]*document 3/u),
      hint: "did you mean kind: Rollout?",
    }),
  );
});

it("refuses an empty file and aliases that multiply", () => {
  expect(() => parseFleetFile("", "fleet.yaml")).toThrow(/no document/u);
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${"*a,".repeat(10)}]\nc: &c [${"*b,".repeat(10)}]\nd: [${"*c,".repeat(10)}]`;
  expect(() => parseFleetFile(bomb, "fleet.yaml")).toThrow(/alias/u);
});

it("shows what differs, leaf by leaf", () => {
  expect(toChangeLines(toChanges({ a: 1, b: { c: [1, 2] } }, { b: { c: [1, 3] }, d: "x" }))).toEqual([
    "  - a: 1",
    "  - b.c.1: 2",
    "  + b.c.1: 3",
    '  + d: "x"',
  ]);
});
