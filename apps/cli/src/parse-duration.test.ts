import { expect, it } from "vitest";
import { parseDuration, toDurationText } from "./parse-duration.ts";

it.each([
  ["500ms", 500],
  ["30s", 30_000],
  ["1h30m", 5_400_000],
  ["1.5s", 1_500],
  ["7d", 604_800_000],
  ["0", 0],
])("reads %s", (text, durationMs) => {
  expect(parseDuration(text)).toBe(durationMs);
});

it.each(["", "30", "s", "30 s", "-5s", "5w", "5s3"])("refuses %j and shows the form", (text) => {
  expect(() => parseDuration(text)).toThrow(
    expect.objectContaining({ code: "usage", hint: expect.stringContaining("30s") }),
  );
});

it("writes durations for people", () => {
  expect([340, 12_000, 60_000, 65_000, 3_900_000, 90_000_000, 400_000_000].map(toDurationText)).toEqual([
    "340ms",
    "12s",
    "1m",
    "1m 5s",
    "1h 5m",
    "25h",
    "4d",
  ]);
});
