import { describe, expect, test } from "vitest";
import { defaultRemediationConfig } from "./rules.ts";
import { createPlane, failing, newBuild, oldBuild, toObservation } from "./testing/plane.ts";

const five = ["a", "b", "c", "d", "e"].map((device) => toObservation(device));
const tampered = (atMs: number, measurement = failing()) => ({
  integrity: { state: "failed" as const, evidenceAtMs: atMs, failing: [measurement] },
});
const verified = (atMs: number) => ({ integrity: { state: "verified" as const, evidenceAtMs: atMs, failing: [] } });
const kinds = (actions: readonly { readonly kind: string }[]) => actions.map(({ kind }) => kind);

describe("a tampered model file", () => {
  test("is quarantined, repaired, verified and released", () => {
    const plane = createPlane(five);
    plane.change("a", tampered(plane.nowMs));
    expect(kinds(plane.settle())).toEqual([
      "open-case",
      "start-attempt",
      "quarantine",
      "issue-command",
      "issue-command",
    ]);
    expect(plane.commands.map(({ kind }) => kind)).toEqual(["stop-serving", "repair-artifact"]);
    plane.advance(1_000);
    plane.answer("a", "done");
    expect(plane.settle().at(-1)).toMatchObject({ kind: "start-verifying" });
    plane.change("a", verified(plane.nowMs - 5_000));
    expect(plane.settle()).toEqual([]);
    plane.change("a", verified(plane.nowMs));
    expect(kinds(plane.settle())).toEqual(["close-case", "release-quarantine"]);
    expect(plane.cases).toMatchObject([{ state: "resolved", code: "verified", quarantine: "released" }]);
    expect(plane.seen("a").lifecycle).toBe("enrolled");
  });

  test("is told of to the end when its device answers only after the case has closed", () => {
    const plane = createPlane(five);
    plane.change("a", tampered(plane.nowMs));
    plane.settle();
    plane.advance(1_000);
    plane.change("a", verified(plane.nowMs));
    expect(kinds(plane.settle())).toEqual(["close-case", "release-quarantine"]);
    const repair = () => plane.cases[0]?.actions.find(({ kind }) => kind === "repair-artifact");
    expect(repair()).toMatchObject({ state: "issued" });
    plane.answer("a", "done");
    expect(kinds(plane.settle())).toEqual(["record-outcome", "record-outcome"]);
    expect(repair()).toMatchObject({ state: "done", detail: "repair-artifact ended with done" });
    expect(plane.cases).toMatchObject([{ state: "resolved", code: "verified" }]);
  });

  test("is told of to the end when its device never answers", () => {
    const plane = createPlane(five);
    plane.change("a", tampered(plane.nowMs));
    plane.settle();
    plane.change("a", verified(plane.nowMs));
    plane.settle();
    plane.advance(600_000);
    expect(plane.settle()).toMatchObject([{ code: "command_expired" }, { code: "command_expired" }]);
    expect(plane.cases[0]?.actions.filter(({ state }) => state === "issued")).toEqual([]);
  });

  test("that cannot be repaired is tried again, then kept in quarantine with an alert until it is verified", () => {
    const plane = createPlane(five);
    plane.change("a", tampered(plane.nowMs));
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      plane.settle();
      plane.answer("a", "failed");
      plane.settle();
      plane.advance(15_000);
    }
    plane.settle();
    expect(plane.cases[0]).toMatchObject({ state: "failed", attempt: 3, alert: "firing", quarantine: "held" });
    expect(plane.cases[1]).toMatchObject({ state: "suppressed", code: "cool_down" });
    expect(plane.settle()).toEqual([]);
    expect(plane.seen("a").lifecycle).toBe("quarantined");
    plane.change("a", verified(plane.nowMs));
    expect(kinds(plane.settle())).toEqual(["release-quarantine", "resolve-alert"]);
  });

  test("whose repair nobody can confirm in time is tried again", () => {
    const plane = createPlane(five);
    plane.change("a", tampered(plane.nowMs));
    plane.settle();
    plane.answer("a", "done");
    plane.settle();
    plane.advance(119_999);
    expect(plane.settle()).toEqual([]);
    plane.advance(1);
    expect(plane.settle()[0]).toMatchObject({ kind: "start-attempt", attempt: 2 });
  });
});

test("another tampered file puts the device on hold with an alert, and nothing is repaired", () => {
  const plane = createPlane(five);
  const agentFile = failing({ kind: "agent", name: "agent/src/main.ts", slot: null, sizeBytes: null });
  plane.change("a", tampered(plane.nowMs, agentFile));
  expect(kinds(plane.settle())).toEqual(["open-case", "start-attempt", "fire-alert", "quarantine", "start-verifying"]);
  plane.advance(1_000_000_000);
  expect(plane.settle()).toEqual([]);
  plane.change("a", verified(plane.nowMs));
  expect(kinds(plane.settle())).toEqual(["close-case", "release-quarantine", "resolve-alert"]);
});

test("the alert about a device that is decommissioned ends with it, whatever was wrong", () => {
  const plane = createPlane(five);
  const agentFile = failing({ kind: "agent", name: "agent/src/main.ts", slot: null, sizeBytes: null });
  plane.change("a", tampered(plane.nowMs, agentFile));
  plane.change("b", { online: false });
  plane.advance(defaultRemediationConfig.silentAfterMs + 1);
  plane.settle();
  const ofTwo = () => plane.cases.filter(({ device }) => device === "a" || device === "b");
  expect(new Set(ofTwo().map(({ alert }) => alert))).toEqual(new Set(["firing"]));
  for (const device of ["a", "b"]) plane.change(device, { lifecycle: "decommissioned" });
  plane.settle();
  expect(ofTwo().every(({ alert, endedAtMs }) => alert === "resolved" && endedAtMs !== null)).toBe(true);
  expect(plane.settle()).toEqual([]);
});

test("many tampered devices at once: one of five is touched, the others are suppressed with the reason, then have their turn", () => {
  const plane = createPlane(five);
  for (const { device } of five) plane.change(device, tampered(plane.nowMs));
  plane.settle();
  expect(plane.cases.map(({ device, state, code }) => [device, state, code])).toEqual([
    ["a", "executing", "attempting"],
    ...["b", "c", "d", "e"].map((device) => [device, "suppressed", "blast_radius"]),
  ]);
  // Nobody does anything about those four for now, so somebody is told.
  expect(plane.cases.map(({ alert }) => alert)).toEqual(["none", "firing", "firing", "firing", "firing"]);
  expect(plane.settle()).toEqual([]);
  plane.change("e", verified(plane.nowMs));
  expect(plane.settle()).toMatchObject([{ kind: "resolve-alert", device: "e" }]);
  plane.answer("a", "done");
  plane.change("a", verified(plane.nowMs));
  plane.settle();
  expect(plane.cases.filter(({ endedAtMs }) => endedAtMs === null).map(({ device }) => device)).toEqual(["b"]);
});

describe("a crash loop", () => {
  const crash = (tsMs: number) => ({ tsMs, slot: "reader", buildDigest: newBuild });
  const running = {
    slot: "reader",
    serving: true,
    activeBuildDigest: newBuild,
    previousBuildDigest: oldBuild,
    confirmed: true,
    missedPlacement: null,
  };

  test("goes back to the previous build, and its desired state follows", () => {
    const plane = createPlane(five);
    const crashes = [1, 2, 3].map((ago) => crash(plane.nowMs - ago * 60_000));
    plane.change("a", { crashes: crashes.slice(1), slots: [running] });
    expect(plane.settle()).toEqual([]);
    plane.change("a", { crashes, slots: [{ ...running, confirmed: false, missedPlacement: null }] });
    expect(plane.settle()).toEqual([]);
    plane.change("a", { slots: [running] });
    expect(kinds(plane.settle())).toEqual(["open-case", "start-attempt", "withdraw-release", "issue-command"]);
    plane.answer("a", "done");
    plane.change("a", { slots: [{ ...running, activeBuildDigest: oldBuild, previousBuildDigest: newBuild }] });
    plane.settle();
    expect(plane.cases).toMatchObject([{ state: "resolved" }]);
  });

  test("without a previous build ends failed with an alert", () => {
    const plane = createPlane(five);
    const crashes = [1, 2, 3].map((ago) => crash(plane.nowMs - ago));
    plane.change("a", { crashes, slots: [{ ...running, previousBuildDigest: null }] });
    plane.settle();
    expect(plane.cases[0]).toMatchObject({ state: "failed", code: "no_previous_build", alert: "firing" });
  });
});

test("a silent device fires one alert, which is resolved when it is back", () => {
  const plane = createPlane(five);
  for (const { device } of five) plane.change(device, { online: false });
  plane.advance(defaultRemediationConfig.silentAfterMs + 1);
  expect(kinds(plane.settle()).filter((kind) => kind === "fire-alert")).toHaveLength(5);
  plane.advance(1_000_000);
  expect(plane.settle()).toEqual([]);
  plane.change("a", { online: true, lastSeenMs: plane.nowMs });
  expect(kinds(plane.settle())).toEqual(["close-case", "resolve-alert"]);
});
