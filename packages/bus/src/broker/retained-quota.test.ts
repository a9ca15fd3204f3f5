import { describe, expect, it } from "vitest";
import { RetainedQuota } from "./retained-quota.ts";

describe("who keeps how much in retained messages", () => {
  it("A31 admits a share of a million topics and refuses the rest, however often it is asked", () => {
    const quota = new RetainedQuota({ bytesPerClient: 500_000, bytesInAll: 800_000 });
    const count = (owner: string, topics: number): number => {
      let admitted = 0;
      for (let index = 0; index < topics; index += 1)
        if (quota.take(owner, `${owner}/${index}`, 100) === undefined) admitted += 1;
      return admitted;
    };
    const first = count("hoarder", 1_000_000);
    expect(first).toBeGreaterThan(1_000);
    expect(first * 356).toBeLessThanOrEqual(500_000);
    expect(quota.usedBytes).toBeLessThanOrEqual(500_000);
    // Another owner has a share of its own, which ends where that of all together does.
    expect(count("other", 10_000)).toBeGreaterThan(500);
    expect(quota.usedBytes).toBeLessThanOrEqual(800_000);
  });

  it("A31 gives a share back when its topics are cleared", () => {
    const quota = new RetainedQuota({ bytesPerClient: 1_000, bytesInAll: 1_000 });
    expect(quota.take("cam-1", "a", 700)).toBeUndefined();
    expect(quota.take("cam-1", "b", 700)).toContain("1000 bytes");
    expect(quota.take("cam-1", "a", 0)).toBeUndefined();
    expect(quota.usedBytes).toBe(0);
    expect(quota.take("cam-1", "b", 700)).toBeUndefined();
  });
});
