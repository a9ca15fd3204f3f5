import { describe, expect, it } from "vitest";
import { isNews } from "./mirror-audit.ts";

const nowMs = 10_000_000;
const event = { mirror: "https://near.example", code: "digest_mismatch" };
const told = (more: object = {}, tsMs = nowMs - 1) => ({
  ...{ action: "device.mirror-set-aside", tsMs },
  details: { ...event, ...more },
});

describe("what a device says of a mirror", () => {
  it("is written down once an hour for the same mirror and the same reason", () => {
    expect(isNews(event, [], nowMs)).toBe(true);
    expect(isNews(event, [told()], nowMs)).toBe(false);
    expect(isNews(event, [told({}, nowMs - 3_600_001)], nowMs)).toBe(true);
    expect(isNews(event, [told({ code: "download_stalled" }), told({ mirror: "https://far.example" })], nowMs)).toBe(
      true,
    );
    expect(isNews(event, [{ ...told(), action: "device.label" }], nowMs)).toBe(true);
  });

  it("fills no log: not with names that are new each time either", () => {
    const many = Array.from({ length: 20 }, (_, index) => told({ mirror: `https://m${index}.example` }));
    expect(isNews(event, many.slice(1), nowMs)).toBe(true);
    expect(isNews(event, many, nowMs)).toBe(false);
  });
});
