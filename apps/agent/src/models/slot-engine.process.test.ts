import { silentLogger } from "@fairlead/kernel";
import type { EventData } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { ServingHost } from "../serving/serving-host.ts";
import { systemClock } from "../system-clock.ts";
import { SlotEngine } from "./slot-engine.ts";
import { createSlotRecord, type InstalledBuild, type SlotRecord } from "./slot-record.ts";

const digest = `sha256:${"a".repeat(64)}`;
const releaseId = `rel-${"0".repeat(26)}`;
const build: InstalledBuild = {
  ...{ releaseId, model: "m", version: "1.0.0", artifact: { digest, sizeBytes: 1 }, golden: null },
  ...{ latencyP95Ms: null, repeats: 1, classification: null, providers: ["cpu"] },
};

it("ends a job whose build never finishes loading, names the hang, and has its process back, after a restart that was asked for too", async () => {
  const events: EventData[] = [];
  let saved: SlotRecord | undefined;
  let ready = 0;
  const host = new ServingHost({
    entry: new URL("../serving/testing/silent-process.ts", import.meta.url),
    config: { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, inflightPath: "/dev/null" },
    readInflight: () => [],
    ...{ clock: systemClock, logger: silentLogger, random: () => 0 },
    onReady: () => {
      ready += 1;
      engine.wake();
    },
    onExit: (exit) => engine.onServingExit(exit),
  });
  const engine = new SlotEngine("reader", {
    saved: { load: () => saved ?? createSlotRecord("reader"), save: (record) => void (saved = record) },
    serving: host,
    fetch: async () => undefined,
    held: () => null,
    judgeTime: () => null,
    toPath: () => "/nowhere",
    emit: (event) => void events.push(event),
    onChange: () => undefined,
    ...{ clock: systemClock, random: () => 0, logger: silentLogger, threads: 1, deadlineMs: 100 },
    offers: { providers: ["cpu"], runtimes: [] },
    scheduling: undefined,
    limits: { loadMs: 300, selfTestMs: 300 },
  });
  await host.start();
  await expect.poll(() => ready, { timeout: 10_000 }).toBe(1);
  host.restart();
  await expect.poll(() => ready, { timeout: 10_000 }).toBe(2);
  engine.setWish({ kind: "install", job: { releaseId, rolloutId: null, attempt: 1 }, build, soakMs: 0 });
  await expect.poll(() => saved?.job?.state, { timeout: 10_000 }).toBe("failed");
  expect(saved).toMatchObject({
    ...{ active: null, candidate: null },
    job: { code: "hang", reason: "serving_timeout: load took longer than 300 ms" },
  });
  expect(events).toContainEqual(expect.objectContaining({ kind: "job-step", state: "failed", code: "hang" }));
  await expect.poll(() => ready, { timeout: 10_000 }).toBe(3);
  await engine.close();
  await host.stop();
}, 40_000);
