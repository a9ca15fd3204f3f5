import { expect, test } from "vitest";
import { createPlane, failing, newBuild, oldBuild, toObservation } from "./testing/plane.ts";

const dayMs = 86_400_000;
const missed = {
  ...{ slot: "reader", serving: true, activeBuildDigest: newBuild, previousBuildDigest: oldBuild, confirmed: true },
  missedPlacement: { wanted: "cuda", reason: "no driver" },
};
const emptied = { ...missed, serving: false, activeBuildDigest: null, missedPlacement: null };

test.each([
  { what: "is emptied", slots: [emptied] },
  { what: "is gone", slots: [] },
])("the alert about a missed placement ends when its slot $what", ({ slots }) => {
  const plane = createPlane([toObservation("a", { slots: [missed] })]);
  plane.settle();
  expect(plane.cases).toMatchObject([{ state: "verifying", alert: "firing" }]);
  plane.change("a", { slots });
  plane.settle();
  expect(plane.cases).toMatchObject([{ state: "resolved", alert: "resolved" }]);
});

test("a model file that cannot be repaired fires one alert however often it is tried, which ends when it is right", () => {
  const plane = createPlane([toObservation("a")]);
  const evidence = (state: "failed" | "verified") => ({
    integrity: { state, evidenceAtMs: plane.nowMs, failing: state === "failed" ? [failing()] : [] },
  });
  for (let sinceMs = 0; sinceMs < dayMs / 8; sinceMs += 15_000) {
    plane.change("a", evidence("failed"));
    plane.settle();
    plane.answer("a", "failed");
    plane.advance(15_000);
  }
  expect(plane.cases.filter(({ state }) => state === "failed").length).toBeGreaterThan(5);
  expect(plane.cases.filter(({ alert }) => alert === "firing")).toHaveLength(1);
  plane.change("a", evidence("verified"));
  plane.settle();
  expect(plane.cases.filter(({ alert }) => alert === "firing")).toEqual([]);
  expect(plane.seen("a").lifecycle).toBe("enrolled");
});

test("a device is silent only for as long as the plane listens, and a start of the plane ends no alert", () => {
  const plane = createPlane([toObservation("a", { online: false })]);
  plane.advance(360_000);
  plane.change("a", { listeningSinceMs: plane.nowMs });
  expect(plane.settle()).toEqual([]);
  plane.advance(300_001);
  plane.settle();
  expect(plane.cases).toMatchObject([{ rule: "alert-silent-device", alert: "firing" }]);
  plane.change("a", { listeningSinceMs: plane.nowMs });
  expect(plane.settle()).toEqual([]);
});
