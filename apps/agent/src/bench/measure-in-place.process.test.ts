import { readSidecarServer } from "@fairlead/inference/sidecars";
import { mlpModel } from "@fairlead/inference/testing";
import { silentLogger } from "@fairlead/kernel";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type { DeviceOffers } from "../models/load-target.ts";
import { servingEntry } from "../places.ts";
import { readInflightLoads } from "../serve/inflight.ts";
import { toDeviceOffers } from "../serving/device-offers.ts";
import { runtimesSchema, toSidecarConfigs, type RuntimesConfig } from "../serving/runtime-config.ts";
import { ServingHost } from "../serving/serving-host.ts";
import { systemClock as clock } from "../system-clock.ts";
import { agentConfigSchema } from "../config.ts";
import type { MeasureBuildOptions } from "./measure-build.ts";
import { BenchDevice } from "./testing/bench-device.ts";

const serverPath = new URL("../../../../test/support/oip-server.ts", import.meta.url).pathname;
const small = mlpModel({ widths: [4, 8, 2] });
const large = mlpModel({ widths: [4, 2_000, 2] });

/** A device whose serving process has the test server as its runtime "second", which alone offers `tensorrt`. */
class SidecarDevice extends BenchDevice {
  readonly host: ServingHost;
  readonly exits: string[] = [];

  static async start(change: object = {}): Promise<SidecarDevice> {
    // What the server is told is known before the device has a folder.
    const device = new SidecarDevice(change, { durationMs: 300 });
    await device.host.start();
    return device;
  }

  private constructor(change: object, rest: Partial<MeasureBuildOptions>) {
    const late: { host?: ServingHost; offers?: DeviceOffers } = {};
    super({
      ...rest,
      serving: {
        get ready() {
          return late.host?.ready ?? false;
        },
        request: (request, timeoutMs) => {
          if (late.host === undefined) throw new Error("not started");
          return late.host.request(request, timeoutMs);
        },
      },
    });
    this.setFault("");
    const runtimes = this.#toRuntimes(change);
    Object.assign(this.options, { offers: toDeviceOffers({ ...agentConfigSchema.parse({}), runtimes }) });
    const inflightPath = join(this.dir, "inflight");
    this.host = late.host = new ServingHost({
      entry: servingEntry,
      config: {
        address: { kind: "tcp", host: "127.0.0.1", port: 0 },
        ...{ inflightPath, runtimes: toSidecarConfigs(runtimes, this.dir) },
      },
      readInflight: () => readInflightLoads(inflightPath).map(({ loadId }) => loadId),
      ...{ clock, logger: silentLogger, random: () => 0, onReady: () => undefined },
      onExit: ({ exit }) => void this.exits.push(exit),
    });
  }

  #toRuntimes(change: object): RuntimesConfig {
    const socket = join(this.dir, "s");
    const files = ["--repository", "{repository}", "--fault-file", join(this.dir, "fault")];
    const command = [process.execPath, serverPath, "--socket", socket, ...files];
    const second = { kind: "open-inference", command, url: `unix:${socket}`, providers: ["tensorrt"], ...change };
    return runtimesSchema.parse({ second });
  }

  setFault(fault: string): void {
    writeFileSync(join(this.dir, "fault"), fault);
  }

  get serverPid(): number {
    const { pid }: { pid: number } = JSON.parse(readFileSync(join(this.dir, "runtimes/second/process.json"), "utf8"));
    return pid;
  }

  get server(): string | null {
    return readSidecarServer(join(this.dir, "runtimes/second/server"));
  }

  async countLoads(): Promise<number> {
    return (await this.host.request({ kind: "ping" })).loads;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.host.stop();
    await super[Symbol.asyncDispose]();
  }
}

describe("measuring builds that run on another server", { timeout: 120_000 }, () => {
  it("measures both on that server, chooses the faster one and leaves nothing loaded", async () => {
    await using device = await SidecarDevice.start();
    const builds = [device.toBuild(small, ["tensorrt"]), device.toBuild(large, ["tensorrt"])];
    const { wish, chooser } = await device.choose(...builds);
    const candidates = chooser.view("reader")?.candidates ?? [];
    expect(candidates).toHaveLength(2);
    for (const { latencyUs, reason } of candidates) expect(latencyUs?.p50, reason).toBeGreaterThan(0);
    expect(wish.kind).toBe("install");
    expect(device.serverPid).toBeGreaterThan(1);
    expect(await device.countLoads()).toBe(0);
    expect(device.findProcesses(), "no process for measuring was needed").toEqual([]);
  });

  it("measures anew on a server of another version, and nothing anew on the same", async () => {
    await using device = await SidecarDevice.start();
    const builds = [device.toBuild(small, ["tensorrt"]), device.toBuild(large, ["tensorrt"])];
    await device.choose(...builds);
    const first = device.measured;
    expect(first.map(({ server }) => server)).toEqual(["oip-server 1", "oip-server 1"]);
    await device.choose(...builds);
    expect(device.measured).toEqual(first);
    device.setFault("version:2");
    process.kill(device.serverPid, "SIGKILL");
    await vi.waitFor(() => expect(device.server).toBe("oip-server 2"), { timeout: 20_000, interval: 20 });
    await device.choose(...builds);
    expect(device.measured.map(({ server }) => server)).toEqual(["oip-server 2", "oip-server 2"]);
  });

  it("goes by the slot: one given to the server is measured there though the device could run the build itself", async () => {
    await using device = await SidecarDevice.start({ providers: ["cpu"], slots: ["reader"] });
    device.setFault("load-fails");
    const build = device.toBuild(small);
    expect((await device.measure(build)).failure).toMatch(/no reason at all/u);
    const elsewhere = { ...device.toRequest(build), slot: "other" };
    const { measureBuild } = await import("./measure-build.ts");
    const signal = new AbortController().signal;
    expect(await measureBuild(device.options, { request: elsewhere, build }, signal)).toMatchObject({ failure: null });
  });

  it("names a build that ends its server or never answers, and measures the next one on the server that came back", async () => {
    await using device = await SidecarDevice.start();
    const build = device.toBuild(small, ["tensorrt"]);
    device.setFault("load-crashes");
    expect((await device.measure(build)).failure).toMatch(/^crash: /u);
    device.setFault("never");
    expect((await device.measure(build)).failure).toMatch(/^hang: /u);
    device.setFault("");
    expect(await device.measure(build)).toMatchObject({ failure: null });
    expect(device.exits).toEqual([]);
  });

  it("begins again when the serving process ends in the middle, and holds the build to be the reason the third time", async () => {
    await using device = await SidecarDevice.start();
    Object.assign(device.options, { durationMs: 2_000 });
    const running = device.measure(device.toBuild(small, ["tensorrt"]));
    for (const ends of [1, 2, 3]) {
      await vi.waitFor(async () => expect(await device.countLoads()).toBe(1), { timeout: 20_000, interval: 20 });
      process.kill(device.host.pid ?? 0, "SIGKILL");
      await vi.waitFor(() => expect(device.exits).toHaveLength(ends), { timeout: 5_000, interval: 10 });
    }
    expect((await running).failure).toMatch(/^crash: /u);
  });

  it("ends when it is called off, and unloads the build when its run is over", async () => {
    await using device = await SidecarDevice.start();
    const abort = new AbortController();
    const running = device.measure(device.toBuild(small, ["tensorrt"]), abort.signal);
    running.catch(() => undefined);
    await vi.waitFor(async () => expect(await device.countLoads()).toBe(1), { timeout: 20_000, interval: 10 });
    abort.abort(new Error("another release"));
    await expect(running).rejects.toThrow("another release");
    await vi.waitFor(async () => expect(await device.countLoads()).toBe(0), { timeout: 10_000 });
  });
});

it("requires what the slot requires while it measures", async () => {
  await using device = new BenchDevice({
    offers: { providers: ["cpu"], runtimes: [], slots: { reader: { providers: null, require: true } } },
  });
  expect((await device.measure(device.toBuild(small))).failure).toMatch(/^accelerator_required: /u);
});
