import { describe, expect, it } from "vitest";
import { isSelected, parseSelector, selectorSchema } from "./selector.ts";

const labels = { site: "berlin", arch: "arm64", canary: "" };
const matches = (text: string) => isSelected(parseSelector(text), labels);

describe("selectors", () => {
  it("follow the Kubernetes rules", () => {
    expect(matches("")).toBe(true);
    expect(matches("site=berlin,arch in (arm64, x64)")).toBe(true);
    expect(matches("site==berlin,canary")).toBe(true);
    expect(matches("site!=berlin")).toBe(false);
    expect(matches("zone!=a,zone notin (b)")).toBe(true);
    expect(matches("!canary")).toBe(false);
    expect(matches("site=paris")).toBe(false);
  });

  it("refuse what is not a selector and say what to write", () => {
    for (const text of ["a=b=c", "site in berlin", ",", "(a)", "a b", "x".repeat(600)]) {
      expect(() => parseSelector(text)).toThrow(/selector/u);
    }
  });

  it.each([
    ["site==(", 'unexpected "(" at character 7 after "site=="'],
    ["role=(", 'unexpected "(" at character 6 after "role="'],
    ["site=a, role in berlin", 'unexpected "b" at character 17 after "site=a, role in "'],
    ["a=b=c", 'unexpected "=" at character 4 after "a=b"'],
    ["a b", 'unexpected "b" at character 3 after "a "'],
    ["(a)", 'unexpected "(" at character 1'],
    [",a", 'unexpected "," at character 1'],
    ["!,a", 'unexpected "," at character 2 after "!"'],
    ["site in (a", 'it ends too soon after "site in (a"'],
    ["site=a,", 'it ends too soon after "site=a,"'],
    ["-a=b", '"-a" is no label key'],
    ["a in (b,c d)", '"c d" is no label value'],
  ])("say where %j breaks, and what to write", (text, why) => {
    expect(() => parseSelector(text)).toThrow(
      expect.objectContaining({
        ...{ code: "selector_invalid", message: `not a label selector: ${why}` },
        hint: expect.stringContaining("such as site=berlin,!canary"),
      }),
    );
    const messages = selectorSchema.safeParse(text).error?.issues.map(({ message }) => message);
    expect(messages).toEqual([expect.stringMatching(/^not a label selector: .*; write key=value.*site=berlin/u)]);
  });

  it("do not look at inherited properties", () => {
    expect(matches("constructor")).toBe(false);
    expect(matches("toString=x")).toBe(false);
  });
});
