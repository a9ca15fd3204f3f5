import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { describe, expect, it } from "vitest";
import { request } from "undici";
import { runCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { loadDigits, toInferRequest } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { SmallDisk, whyNoSmallDisk } from "../support/small-disk.ts";
import { readOutbox, readStoredTelemetry } from "../support/stored-telemetry.ts";

const reason = whyNoSmallDisk();
const readStored = (plane: TestPlane, device: TestDevice) => readStoredTelemetry(plane, device, "reader");
/** One outbox, no number skipped, and something for each of them. */
const everythingOnce = { epochs: [{ gaps: 0 }], missing: 0, integrityFailures: [] };

function rollOut(plane: TestPlane, version: string, ...more: string[]): Promise<RolloutStatus> {
  const target = ["--model", "digit-reader", "--version", version, "--slot", "reader", "--all-devices"];
  const policy = ["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s", "--stage-timeout", "2m"];
  return runCliJson<RolloutStatus>(["rollouts", "create", ...target, ...policy, ...more], plane.cliEnv);
}

/** Two versions are published, and the device serves the first one. */
async function serveFirst(plane: TestPlane, device: TestDevice): Promise<void> {
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  device.run();
  for (const version of ["1.0.0", "1.1.0"] as const) await publishDigitReader(plane, version);
  await eventually("the device is online", async () => (await plane.device(device.name)).online);
  await rollOut(plane, "1.0.0");
  await eventually("1.0.0 serves", async () => (await plane.device(device.name)).slots[0]?.serving);
}

describe.skipIf(reason !== undefined)(`a full disk${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  it("on a device leaves its model serving, is reported, loses no count, and the rollout goes on once there is room", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-disk-"));
    await using _folder = { [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true, force: true }) };
    using disk = new SmallDisk(join(dir, "disk"), 128);
    await using plane = await new TestPlane({ dir: join(dir, "plane") }).start();
    await using device = new TestDevice({
      ...{ name: "full-1", dir: join(dir, "full-1"), dataDir: join(disk.folder, "data") },
      ...{ labels: {}, telemetryWindowMs: 250 },
    });
    await serveFirst(plane, device);
    const endpoint = await device.waitForEndpoint(plane);
    let asked = 0;
    const infer = async () => {
      asked += 1;
      const { body, headers } = toInferRequest(loadDigits("test")[0]!);
      const answer = await request(`${endpoint}/v2/models/digit-reader/infer`, { method: "POST", body, headers });
      await answer.body.dump();
      return answer.statusCode;
    };

    disk.fill();
    // Its outbox has room in what it holds already; when that is used up, windows are refused and kept for the next.
    await eventually("a window finds no room", async () => {
      expect(await infer()).toBe(200);
      return device.process.output.includes("a telemetry window was refused");
    });
    expect(await infer()).toBe(200);
    await plane.process.kill("SIGKILL");
    await plane.start();
    await eventually(
      "it is online again, with no room for the number of its session",
      async () => (await plane.device(device.name)).online,
    );
    expect(await infer()).toBe(200);
    // Room for its own records, not for another model beside the reserve that it keeps.
    disk.leave(4_000_000);
    const { rolloutId } = await rollOut(plane, "1.1.0");
    const code = await eventually("the device says that its disk is full", async () => {
      const job = (await plane.device(device.name)).slots[0]?.job;
      return job?.code === "disk_full" && job.code;
    });
    expect(code).toBe("disk_full");
    expect(await infer()).toBe(200);
    expect((await plane.device(device.name)).slots[0]?.running?.version).toBe("1.0.0");

    disk.free();
    await eventually(
      "1.1.0 arrives",
      async () => {
        const status = await plane.rollout(rolloutId);
        if (status.state === "failed" || status.state === "rolled_back") throw new Error(status.reason);
        return status.state === "succeeded";
      },
      90_000,
    );
    expect(await infer()).toBe(200);
    await eventually("every request is counted on the plane", () => readStored(plane, device).requests >= asked);
    await device.process.kill("SIGTERM");
    expect(readStored(plane, device)).toMatchObject({ ...everythingOnce, requests: asked });
  }, 180_000);

  it("keeps no agent from starting and serving, after a clean stop as after a kill", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-disk-"));
    await using _folder = { [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true, force: true }) };
    using disk = new SmallDisk(join(dir, "disk"), 64);
    await using plane = await new TestPlane({ dir: join(dir, "plane") }).start();
    await using device = new TestDevice({
      ...{ name: "full-2", dir: join(dir, "full-2"), dataDir: join(disk.folder, "data") },
      ...{ labels: {}, telemetryWindowMs: 250 },
    });
    await serveFirst(plane, device);
    disk.fill();
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await device.process.kill(signal);
      disk.fill();
      await eventually("the plane notices", async () => !(await plane.device(device.name)).online);
      device.run();
      await eventually("it serves", async () => {
        const endpoint = await device.waitForEndpoint(plane);
        const { body, headers } = toInferRequest(loadDigits("test")[0]!);
        const answer = await request(`${endpoint}/v2/models/digit-reader/infer`, { method: "POST", body, headers });
        await answer.body.dump();
        return answer.statusCode === 200;
      });
    }
    // A stranger's lock is no other agent's.
    expect(device.process.output).not.toContain("another agent already runs");
  }, 120_000);

  it("on the plane refuses writes with a code, keeps reading, and recovers by itself", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-disk-"));
    await using _folder = { [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true, force: true }) };
    using disk = new SmallDisk(join(dir, "plane", "data"), 64);
    await using plane = await new TestPlane({ dir: join(dir, "plane") }).start();
    await publishDigitReader(plane, "1.0.0");
    disk.fill();
    const push = [
      "models",
      "push",
      "test/fixtures/digits/digit-reader-1.1.0-int8.onnx",
      "--model",
      "digit-reader",
      "--version",
      "1.1.0",
    ];
    const refused = await runCli(push, plane.cliEnv);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("storage_full");
    expect(await plane.devices()).toEqual([]);

    disk.free();
    const accepted = await runCli(push, plane.cliEnv);
    expect(accepted.code, accepted.stderr).toBe(0);
  });

  it("on the plane acknowledges nothing, leaves no rollout halfway, and afterwards holds every message once", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-disk-"));
    await using _folder = { [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true, force: true }) };
    using disk = new SmallDisk(join(dir, "plane", "data"), 64);
    await using plane = await new TestPlane({ dir: join(dir, "plane") }).start();
    await using device = new TestDevice({
      ...{ name: "sends-1", dir: join(dir, "sends-1"), labels: {}, telemetryWindowMs: 250 },
    });
    await serveFirst(plane, device);
    const askStored = async () => (await plane.device(device.name)).telemetry.storedUpTo;
    await eventually("telemetry is stored", async () => (await askStored()) > 20);

    const { rolloutId } = await rollOut(plane, "1.1.0", "--manual");
    const isOn = async (state: string) => (await plane.rollout(rolloutId)).stages[0]?.state === state;
    await eventually("its only stage waits for somebody", () => isOn("soaking"));
    disk.fill();
    // The log has room in what it holds already; when that is used up, the plane says so of itself.
    await eventually("the plane says that its disk is full", () =>
      plane.process.output.includes("telemetry cannot be stored; devices keep it"),
    );
    const stored = await askStored();
    const before = readOutbox(device).lastSeq;
    await eventually("the device has written on", () => readOutbox(device).lastSeq > before + 20);
    expect(await askStored()).toBe(stored);
    expect(readOutbox(device).items).toBeGreaterThan(20);
    // A short write may still fit where a long one did not: it is done, or it is refused and nothing of it is there.
    const promote = ["rollouts", "promote", rolloutId, "--yes"];
    const tried = await runCli(promote, plane.cliEnv);
    if (tried.code !== 0) {
      expect(tried).toMatchObject({ code: 1, stderr: expect.stringContaining("storage_full") });
      expect((await plane.rollout(rolloutId)).stages[0]?.state).toBe("soaking");
    }

    disk.free();
    const last = readOutbox(device).lastSeq;
    await eventually("everything arrives", async () => (await askStored()) >= last);
    if (tried.code !== 0) expect(await runCli(promote, plane.cliEnv)).toMatchObject({ code: 0 });
    await eventually("the rollout succeeds", async () => (await plane.rollout(rolloutId)).state === "succeeded");
    await device.process.kill("SIGTERM");
    expect(readStored(plane, device)).toMatchObject(everythingOnce);
  }, 120_000);
});
