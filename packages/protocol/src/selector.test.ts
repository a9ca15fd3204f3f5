import { describe, expect, it } from "vitest";
import { isSelected, parseSelector } from "./selector.ts";

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

  it("do not look at inherited properties", () => {
    expect(matches("constructor")).toBe(false);
    expect(matches("toString=x")).toBe(false);
  });
});
