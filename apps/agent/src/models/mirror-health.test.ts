import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toUsable, withFailure, withSuccess, type MirrorHealth } from "./mirror-health.ts";

const none: MirrorHealth = new Map();
const sources = [
  { kind: "plane", name: "https://plane" },
  { kind: "mirror", name: "https://near" },
  { kind: "mirror", name: "https://far" },
] as const;
const names = (health: MirrorHealth, nowMs: number) => toUsable(sources, health, nowMs).map(({ name }) => name);

describe("mirrors", () => {
  it("are asked in their order before the plane", () => {
    expect(names(none, 0)).toEqual(["https://near", "https://far", "https://plane"]);
  });

  it("are put aside when they fail, for longer each time, and come back when they serve", () => {
    const once = withFailure(none, "https://near", { nowMs: 1_000, random: 0 });
    expect(names(once, 1_000)).toEqual(["https://far", "https://plane"]);
    const backMs = once.get("https://near")?.untilMs ?? 0;
    expect(backMs).toBeGreaterThanOrEqual(31_000);
    expect(names(once, backMs)).toContain("https://near");
    const twice = withFailure(once, "https://near", { nowMs: 1_000, random: 0.99 });
    expect(twice.get("https://near")?.untilMs).toBeGreaterThan(backMs);
    expect(names(withSuccess(twice, "https://near"), 1_000)).toContain("https://near");
  });

  it("never keep the plane from being asked last, whatever failed, nor are away for more than about an hour", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...sources.map(({ name }) => name)), { maxLength: 40 }), (failing) => {
        const random = 0.999;
        const health = failing.reduce((before, name) => withFailure(before, name, { nowMs: 0, random }), none);
        expect(names(health, 0).at(-1)).toBe("https://plane");
        for (const { untilMs } of health.values()) expect(untilMs).toBeLessThanOrEqual(3_630_000);
      }),
    );
  });
});
