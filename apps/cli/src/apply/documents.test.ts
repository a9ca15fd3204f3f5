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

it("finds what no server is needed for in every document, and things that are said twice", () => {
  const rollout = (percent: number, selector: string) => `apiVersion: fairlead/v1
kind: Rollout
spec:
  slot: main
  model: digit-reader
  version: 1.0.0
  selector: "${selector}"
  stages: [{ name: all, target: { kind: percent, percent: ${percent} } }]
`;
  const file = [labels, rollout(50, "site=lab"), rollout(100, "site==("), labels].join("---\n");
  expect(() => parseFleetFile(file, "fleet.yaml")).toThrow(
    expect.objectContaining({
      code: "usage",
      lines: [
        expect.stringMatching(/document 2: spec\.stages\.0\.target\.percent: the last stage all reaches 50 %/u),
        expect.stringMatching(/document 3: spec\.selector: not a label selector: unexpected "\("/u),
        "fleet.yaml, document 4: DeviceLabels lab-1 is in document 1 too: say it once",
      ],
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
