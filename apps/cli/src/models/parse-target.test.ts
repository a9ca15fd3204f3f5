import { expect, it } from "vitest";
import { parseTarget } from "./parse-target.ts";

it("reads lists with + and repeated keys", () => {
  expect(parseTarget("arch=x64+arm64,profile=generic-x86,profile=generic-arm64,ep=cpu")).toEqual({
    arch: ["x64", "arm64"],
    profiles: ["generic-x86", "generic-arm64"],
    executionProviders: ["cpu"],
  });
});

it("means every device on the CPU when empty", () => {
  expect(parseTarget("")).toEqual({ executionProviders: ["cpu"] });
});

it.each(["arch", "arch=", "cpu=x64", "arch=mips", "__proto__=x"])("refuses %s", (text) => {
  expect(() => parseTarget(text)).toThrow(expect.objectContaining({ code: "usage" }));
});
