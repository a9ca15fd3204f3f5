import { cpus } from "node:os";
import { openHardware, loadProfiles } from "@fairlead/hardware";
import { CodedError, silentLogger } from "@fairlead/kernel";
import { telemetryWindowSchema, type HostMetrics, type TelemetryWindow } from "@fairlead/protocol";
import { toEmptyHistogram } from "@fairlead/telemetry";
import { describe, expect, it } from "vitest";
import type { LoadStatistics } from "../serve/ipc.ts";
import type { AppendOutcome, WindowHardware } from "./ports.ts";
import { createTelemetryService } from "./telemetry-service.ts";

const missing = { value: null, reason: "not on this board" };
const toHost = (cpuRatio: number): HostMetrics => ({
  cpuRatio: { value: cpuRatio },
  memoryUsedBytes: missing,
  memoryTotalBytes: missing,
  temperatureC: missing,
  diskFreeBytes: missing,
  diskTotalBytes: missing,
  throttled: missing,
  uptimeS: missing,
});
const toLoad = (loadId: string, requests: number, busyUs: number): LoadStatistics => ({
  loadId,
  slot: "reader",
  model: "digit-reader",
  version: "1.0.0",
  buildDigest: `sha256:${"a".repeat(64)}`,
  requests,
  errors: { runtime: 1, input: 2 },
  latencyUs: toEmptyHistogram(),
  confidence: null,
  classCounts: { "3": requests },
  outputMin: 0,
  outputMax: 1,
  nanCount: 0,
  busyUs,
});

/** A four-core board of 10 W idle and 50 W full that is half busy. */
function createBoard() {
  const board = {
    monotonicMs: 5_000,
    wallMs: 1_800_000_000_000,
    collect: async (): Promise<{ loads: LoadStatistics[] }> => ({ loads: [] }),
    onTrial: false,
    counts: [] as string[],
    windows: [] as TelemetryWindow[],
    outcome: { kind: "stored" } as AppendOutcome,
    advance: (ms: number) => {
      board.monotonicMs += ms;
      board.wallMs += ms;
    },
  };
  const hardware: WindowHardware = {
    energySource: { kind: "modelled", source: "test board", scope: "device", idleW: 10, maxW: 50 },
    sampleHost: async () => toHost(0.5),
    sampleEnergy: async () => ({ atMs: board.monotonicMs, reading: { value: 0.5 } }),
  };
  const service = createTelemetryService({
    clock: { nowMs: () => board.wallMs, monotonicMs: () => board.monotonicMs },
    logger: silentLogger,
    windowMs: 10_000,
    cores: 4,
    serving: { collect: () => board.collect() },
    hardware,
    outbox: {
      append: (_, { windows }) => {
        if (board.outcome.kind === "stored")
          board.windows.push(...windows.map((one) => telemetryWindowSchema.parse(one)));
        return board.outcome;
      },
    },
    trial: {
      onTrial: () => board.onTrial,
      onTrialCounts: (slot, _, { requests, errors }) => board.counts.push(`${slot} ${requests} ${errors}`),
    },
  });
  /** Lets ten seconds pass in half-second turns. */
  const passWindow = async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      board.advance(500);
      await service.tick();
    }
  };
  return { board, service, passWindow };
}

describe("a window", () => {
  it("has modelled energy, shared by busy time, and joins the window before", async () => {
    const { board, service, passWindow } = createBoard();
    await service.tick();
    // 2 of the 20 busy core seconds: a tenth of the active 200 J.
    board.collect = async () => ({ loads: [toLoad("reader.1", 103, 2_000_000)] });
    await passWindow();
    await passWindow();
    expect(board.windows).toHaveLength(2);
    const [first, second] = board.windows;
    expect(first).toMatchObject({ t0Ms: 1_800_000_000_000, t1Ms: 1_800_000_010_000, mergedWindows: 1 });
    expect(first?.energy).toMatchObject({ method: "modelled", source: "test board", totalJ: { value: 300 } });
    expect(first?.energy).toMatchObject({ idleJ: { value: 100 }, activeJ: { value: 200 } });
    expect(first?.slots).toMatchObject([{ requests: 103, activeJ: { value: 20 }, joulesPerInference: { value: 0.2 } }]);
    expect(first?.slots[0]).not.toHaveProperty("loadId");
    expect(second?.t0Ms).toBe(first?.t1Ms);
  });

  it("merges the parts that are collected while a build is on trial, and hands each part's counts on", async () => {
    const { board, service, passWindow } = createBoard();
    await service.tick();
    board.onTrial = true;
    board.collect = async () => ({ loads: [toLoad("reader.1", 5, 1_000), toLoad("reader.2", 7, 1_000)] });
    await passWindow();
    expect(board.counts).toHaveLength(20);
    expect(board.counts.slice(0, 2)).toEqual(["reader 5 1", "reader 7 1"]);
    expect(board.windows[0]?.slots).toMatchObject([
      { requests: 120, errors: { runtime: 20, input: 40 }, busyUs: 20_000 },
    ]);
    expect(board.windows[0]?.slots[0]?.classCounts).toEqual({ "3": 120 });
  });

  it("has no slots while the serving process restarts", async () => {
    const { board, service, passWindow } = createBoard();
    await service.tick();
    board.collect = () => Promise.reject(new CodedError("serving_unavailable", "not ready"));
    await passWindow();
    board.collect = async () => ({ loads: [toLoad("reader.1", 3, 10)] });
    await passWindow();
    expect(board.windows.map(({ slots }) => slots.length)).toEqual([0, 1]);
  });

  it("keeps its length when the wall clock is set", async () => {
    const { board, service, passWindow } = createBoard();
    await service.tick();
    await passWindow();
    board.wallMs -= 3_600_000;
    await passWindow();
    const second = board.windows[1]!;
    expect(second.t1Ms - second.t0Ms).toBe(10_000);
  });

  it("that the outbox has no room for is merged with the next", async () => {
    const { board, service, passWindow } = createBoard();
    await service.tick();
    board.collect = async () => ({ loads: [toLoad("reader.1", 10, 1_000)] });
    board.outcome = { kind: "refused", code: "disk_full", reason: "full" };
    await passWindow();
    board.outcome = { kind: "stored" };
    await passWindow();
    await passWindow();
    expect(board.windows.map(({ mergedWindows, slots }) => [mergedWindows, slots[0]?.requests])).toEqual([
      [2, 20],
      [1, 10],
    ]);
  });

  it("of a service that stops is closed early, once", async () => {
    const { board, service } = createBoard();
    await service.start();
    await service.tick();
    board.collect = async () => ({ loads: [toLoad("reader.1", 4, 10)] });
    board.advance(400);
    await service.stop();
    await service.stop();
    expect(board.windows).toMatchObject([{ slots: [{ requests: 4 }] }]);
  });
});

it("fits the wire on this machine's own sensors", async () => {
  const profiles = await loadProfiles(new URL("../../../../firmware-configs", import.meta.url).pathname);
  const profile = profiles.find(({ metadata }) => metadata.name === "generic-arm64")!;
  const hardware = await openHardware({ profile });
  const windows: TelemetryWindow[] = [];
  const service = createTelemetryService({
    clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
    logger: silentLogger,
    windowMs: 250,
    cores: cpus().length,
    serving: { collect: async () => ({ loads: [toLoad("reader.1", 20, 100)] }) },
    hardware,
    outbox: { append: (_, body) => (windows.push(...body.windows), { kind: "stored" }) },
  });
  await service.start();
  await expect.poll(() => windows.length, { timeout: 3_000, interval: 20 }).toBeGreaterThanOrEqual(2);
  await service.stop();
  await hardware.close();
  for (const window of windows) expect(telemetryWindowSchema.safeParse(window).error).toBeUndefined();
  expect(windows[0]?.energy.method).toBe("modelled");
});
