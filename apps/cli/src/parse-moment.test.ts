import { describe, expect, it } from "vitest";
import { parseMoment } from "./parse-moment.ts";

const nowMs = Date.parse("2026-11-26T12:00:00Z");

describe("a moment", () => {
  it("is a date, a time with its zone, or how long from now", () => {
    expect(parseMoment("2026-12-01", nowMs)).toBe(Date.parse("2026-12-01T00:00:00Z"));
    expect(parseMoment("2026-12-01T06:30:00+02:00", nowMs)).toBe(Date.parse("2026-12-01T04:30:00Z"));
    expect(parseMoment("1h30m", nowMs)).toBe(nowMs + 5_400_000);
  });

  it("is nothing else: no day that does not exist, no time without its zone", () => {
    for (const text of ["2026-13-01", "2026-12-01T06:30", "2026-1-1", "tomorrow", "", "12"])
      expect(() => parseMoment(text, nowMs), text).toThrow(/is not a/u);
  });
});
