import { expect, it } from "vitest";
import type { EventData } from "@fairlead/protocol";
import { PlacementNews, toMissedPlacement, toProviders } from "./placement.ts";

const report = (requestedProviders: string[], shares: Record<string, number> | null) => ({
  requestedProviders,
  shares,
  proof: "why",
});

it("misses only a provider of which it is proved that nothing ran there", () => {
  expect(toMissedPlacement(report(["webgpu", "cpu"], { cpu: 1 }))).toEqual({
    wanted: "webgpu",
    share: 0,
    reason: "why",
  });
  for (const fine of [
    report(["webgpu", "cpu"], { webgpu: 0.1, cpu: 0.9 }),
    report(["webgpu", "cpu"], null),
    report(["cpu"], { cpu: 1 }),
    report([], null),
  ])
    expect(toMissedPlacement(fine)).toBeNull();
});

it("loads with what the build names and the device offers, in the device's order", () => {
  expect(toProviders(["cpu", "webgpu"], ["webgpu", "cuda", "cpu"])).toEqual(["webgpu", "cpu"]);
  expect(toProviders(["cuda"], ["cpu"])).toEqual(["cuda"]);
});

it("tells each miss of a build and once that it is over, and nothing of builds that were never missed", () => {
  const said: EventData[] = [];
  const news = new PlacementNews("reader", (event) => said.push(event));
  const [one, other] = [`sha256:${"1".repeat(64)}`, `sha256:${"2".repeat(64)}`];
  const there = report(["webgpu", "cpu"], { webgpu: 0.75, cpu: 0.25 });
  const away = report(["webgpu", "cpu"], { cpu: 1 });
  news.note(one, there);
  expect(said).toEqual([]);
  for (const [digest, placement] of [
    [one, away],
    [one, away],
    [other, there],
    [one, report(["webgpu", "cpu"], null)],
    [one, there],
    [one, there],
  ] as const)
    news.note(digest, placement);
  expect(said).toEqual([
    { kind: "placement-missed", slot: "reader", buildDigest: one, wanted: "webgpu", share: 0, reason: "why" },
    { kind: "placement-missed", slot: "reader", buildDigest: one, wanted: "webgpu", share: 0, reason: "why" },
    { kind: "placement-regained", slot: "reader", buildDigest: one, wanted: "webgpu", share: 0.75, reason: "why" },
  ]);
  for (let index = 10; index < 99; index += 1) news.note(`sha256:${String(index).repeat(32)}`, away);
  news.note(one, away);
  news.note(one, there);
  expect(said.at(-1)).toMatchObject({ kind: "placement-regained", buildDigest: one });
});
