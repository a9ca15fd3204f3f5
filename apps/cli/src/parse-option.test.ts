import { modelNameSchema, slotNameSchema, versionSchema } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { parseNumber, parseOption } from "./parse-option.ts";

it.each([
  [modelNameSchema, "Two Models", /^write lower-case letters, digits and dashes/u],
  [slotNameSchema, "a/b", /^write lower-case letters, digits and dashes/u],
  [versionSchema, "1.x", /^write three numbers with dots between them/u],
])("says the form of a name in words and shows no pattern", (schema, text, hint) => {
  expect(() => parseOption(schema, "--name", text)).toThrow(
    expect.objectContaining({
      code: "usage",
      message: `--name "${text}" is not understood`,
      hint: expect.stringMatching(hint),
    }),
  );
});

it("says what a number is wanted for", () => {
  const form = { what: "a number of milliseconds above 0, such as 40", fits: (value: number) => value > 0 };
  expect(parseNumber("--latency-p95-ms", "40.5", form)).toBe(40.5);
  for (const text of ["abc", "", "0", "Infinity"])
    expect(() => parseNumber("--latency-p95-ms", text, form)).toThrow(
      expect.objectContaining({ code: "usage", hint: "write a number of milliseconds above 0, such as 40" }),
    );
});
