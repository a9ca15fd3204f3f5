import { describe, expect, it } from "vitest";
import { toMemoryLimitBytes } from "./memory-limit.ts";

const gib = 1_073_741_824;

describe("the memory that the serving process may hold", () => {
  it("is what the configuration says", () => {
    expect(toMemoryLimitBytes(gib, { totalBytes: 8 * gib, constrainedBytes: 0 })).toBe(gib);
  });

  it.each([
    ["three quarters of the device's", 8 * gib, 0, 6 * gib],
    ["three quarters of what the control group allows", 8 * gib, 4 * gib, 3 * gib],
    ["three quarters of the device's where the control group sets no bound", 8 * gib, 2 ** 64, 6 * gib],
    ["never less than it needs itself", gib / 8, 0, 192 * 1_048_576],
  ])("is %s by default", (...row) => {
    const [, totalBytes, constrainedBytes, expected] = row;
    expect(toMemoryLimitBytes(null, { totalBytes, constrainedBytes })).toBe(expected);
  });
});
