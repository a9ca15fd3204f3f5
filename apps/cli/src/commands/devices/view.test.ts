import { describe, expect, it } from "vitest";
import { toFreshnessText } from "./view.ts";

const tell = (maxStaleServeMs: number | null, onStale: string) =>
  toFreshnessText({ "trust.maxStaleServeMs": maxStaleServeMs, "trust.onStale": onStale });

describe("the freshness policy of a device", () => {
  it("is told with its limit and with what comes after it", () => {
    expect(tell(86_400_000, "stop")).toMatch(/^serves on for (?:1d|24h).* then stops serving$/u);
    expect(tell(3_600_000, "alarm")).toMatch(/^serves on for 1h.* then serves on and says so$/u);
    expect(tell(null, "stop")).toBe("serves on for ever when nobody says what is newest");
  });

  it("is not guessed for an agent that does not tell it", () => {
    expect(toFreshnessText({})).toContain("not known");
    expect(toFreshnessText(undefined)).toContain("not known");
  });
});
