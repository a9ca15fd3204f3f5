import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Alert, RolloutStatus } from "@fairlead/protocol";
import { FailingDriver, whyNoFailingDriver } from "@fairlead/inference/testing";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { killNow, readChildren } from "../support/child-of.ts";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { digitModelPath, loadDigits, toInferRequest } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { toSwiftShader, whyNoSwiftShader } from "../support/swiftshader.ts";

const reason = whyNoSwiftShader();
const noDriver = whyNoFailingDriver();
const dir = mkdtempSync(join(tmpdir(), "fairlead-placement-"));
const plane = new TestPlane({ dir: join(dir, "plane") });

async function openDevice(name: string, env: Readonly<Record<string, string>>): Promise<TestDevice> {
  const device = new TestDevice({ name, dir: join(dir, name), labels: { name }, telemetryWindowMs: 500, env });
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  mkdirSync(device.dataDir, { recursive: true });
  writeFileSync(
    join(device.dataDir, "config.yaml"),
    "inference: { providers: [webgpu, cpu], deadlineMs: 60000, acceleratorRetry: { firstMs: 300, maxMs: 1000 } }\n",
  );
  device.run();
  await eventually("the device is online", async () => (await plane.device(name)).online);
  return device;
}

async function rollOut(name: string, gates: readonly string[] = []): Promise<string> {
  const target = ["--model", "digit-reader", "--version", "1.1.0", "--slot", "reader", "--selector", `name=${name}`];
  const policy = ["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s"];
  const { rolloutId } = await runCliJson<RolloutStatus>(
    ["rollouts", "create", ...target, ...policy, ...gates],
    plane.cliEnv,
  );
  if (gates.length > 0) return rolloutId;
  await eventually("it succeeds", async () => (await plane.rollout(rolloutId)).state === "succeeded", 60_000);
  return rolloutId;
}

/** Events of one device as the plane has stored them, oldest first. */
function readEvents(name: string): string[] {
  const store = new Database(join(plane.dir, "data", "plane.db"), { readonly: true });
  try {
    const rows = store.prepare("select event from events where device = ? order by rowid").all(name) as {
      event: string;
    }[];
    return rows.map(({ event }) => event).filter((event) => event.includes("placement-"));
  } finally {
    store.close();
  }
}

const readPlacement = async (name: string) => (await plane.device(name)).reported?.slots[0]?.placement ?? undefined;

beforeAll(async () => {
  await plane.start();
  const push = [
    ...["models", "push", digitModelPath("digit-reader-1.1.0-fp32.onnx"), "--model", "digit-reader"],
    ...["--version", "1.1.0", "--target", "ep=webgpu+cpu"],
  ];
  const pushed = await runWarmCli(push, plane.cliEnv);
  expect(pushed.stderr).not.toContain("error");
  expect(pushed.code).toBe(0);
  expect((await runWarmCli(["releases", "sign", "digit-reader", "1.1.0"], plane.cliEnv)).code).toBe(0);
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("a model that is wanted on an accelerator", () => {
  it("runs on the cpu where there is none, and the device, its event and an alert say so", async () => {
    await using _device = await openDevice("bare-1", { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "" });
    await rollOut("bare-1");
    const placement = await eventually("the placement is reported", () => readPlacement("bare-1"));
    expect(placement).toMatchObject({ requested: ["webgpu", "cpu"], proved: { cpu: 1 } });
    expect(placement.reason).toContain("the cpu stands in: webgpu failed");
    const described = await runWarmCli(["devices", "describe", "bare-1"], plane.cliEnv);
    expect(described.stdout).toContain("proved: cpu 100 % of node time; asked for webgpu, cpu");
    const gated = await rollOut("bare-1", ["--gate", "placement>=50%"]);
    const failed = await eventually("the gate fails", async () => {
      const status = await plane.rollout(gated);
      return status.state === "failed" || status.state === "rolled_back" ? status : undefined;
    });
    expect(failed.reason).toContain("share of node time on the wanted provider is 0");
    const alert = await eventually("an alert fires", async () => {
      const { items } = await plane.get<{ items: Alert[] }>("/api/v1/alerts");
      return items.find(({ device, kind }) => device === "bare-1" && kind === "alert-missed-placement");
    });
    expect(alert.summary).toContain("wanted webgpu and runs nothing there");
    await eventually("the event is stored", () =>
      readEvents("bare-1").some((text) => text.includes("placement-missed")),
    );
  }, 120_000);

  it.skipIf(reason !== undefined)(
    `runs there, and the node times of its warm-up prove it${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    async () => {
      await using _device = await openDevice("gpu-1", toSwiftShader());
      await rollOut("gpu-1");
      const placement = await eventually("the placement is reported", () => readPlacement("gpu-1"));
      expect(placement).toMatchObject({ requested: ["webgpu", "cpu"], reason: "profiled warm-up run" });
      expect(placement.proved?.["webgpu"]).toBeGreaterThan(0.5);
      const { items } = await plane.get<{ items: Alert[] }>("/api/v1/alerts");
      expect(items.filter(({ device }) => device === "gpu-1")).toEqual([]);
    },
    120_000,
  );

  it.skipIf(noDriver !== undefined)(
    `goes to the cpu when the accelerator is lost and returns to it, and the plane hears of both${noDriver === undefined ? "" : ` (skipped: ${noDriver})`}`,
    async () => {
      using driver = new FailingDriver();
      await using device = await openDevice("gpu-2", driver.environment);
      await rollOut("gpu-2");
      const runsOn = (provider: string) =>
        eventually(`it runs on ${provider}`, async () => {
          const placement = await readPlacement("gpu-2");
          return (placement?.proved?.[provider] ?? 0) > 0.5 && placement;
        });
      await runsOn("webgpu");
      const endpoint = await device.waitForEndpoint(plane);
      const [digit] = loadDigits("test");
      if (digit === undefined) throw new Error("no digits");
      const { body, headers } = toInferRequest(digit);
      const ask = async () => {
        const answer = await fetch(`${endpoint}/v2/models/digit-reader/infer`, { method: "POST", body, headers });
        await answer.arrayBuffer();
        return answer.status;
      };
      expect(await ask()).toBe(200);
      driver.break();
      expect(await ask()).toBe(503);
      const missed = await runsOn("cpu");
      expect(missed.reason).toContain("the cpu stands in: webgpu was lost: ");
      expect(await ask()).toBe(200);
      driver.mend();
      expect((await runsOn("webgpu")).reason).toBe("profiled warm-up run");
      expect(await ask()).toBe(200);
      await eventually("both events are stored", () => readEvents("gpu-2").length === 2);
      const [first = "", second = ""] = readEvents("gpu-2");
      expect([first, second]).toEqual([
        expect.stringContaining("placement-missed"),
        expect.stringContaining("placement-regained"),
      ]);

      const before = (await plane.device("gpu-2")).reported?.revision ?? 0;
      for (const child of readChildren(device.process.pid)) killNow(child);
      await eventually("another report says where it runs", async () => {
        const { reported } = await plane.device("gpu-2");
        const placement = reported?.slots[0]?.placement;
        return (
          (reported?.revision ?? 0) > before && (placement?.proved?.["webgpu"] ?? 0) > 0.5 && (await ask()) === 200
        );
      });
    },
    120_000,
  );
});
