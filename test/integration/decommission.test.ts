import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry, DeviceDetail, RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toEntry } from "../support/entries.ts";
import { readChildren } from "../support/child-of.ts";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { askAsDevice } from "../support/ask-as-device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { OwnedProcess } from "../support/process.ts";
import { publishDigitReader } from "../support/publish.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-decommission-"));
const plane = new TestPlane({ dir: join(dir, "plane"), args: ["--offline-after", "3"] });
const toDevice = (name: string): TestDevice =>
  new TestDevice({ name, dir: join(dir, name), labels: { name }, telemetryWindowMs: 300 });
let manyTimes = "";

beforeAll(async () => {
  await plane.start();
  await publishDigitReader(plane, "1.1.0");
  manyTimes = await createEnrolmentToken(plane, 10);
}, 120_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function rollOut(name: string): Promise<string> {
  const what = ["--model", "digit-reader", "--version", "1.1.0", "--slot", "reader", "--selector", `name=${name}`];
  const how = ["--stages", "all=100%", "--device-soak", "1h"];
  return (await runCliJson<RolloutStatus>(["rollouts", "create", ...what, ...how], plane.cliEnv)).rolloutId;
}

async function serve(device: TestDevice): Promise<string> {
  await device.enrol(plane, manyTimes);
  device.run();
  await eventually("it is online", async () => (await plane.device(device.name)).online);
  const rolloutId = await rollOut(device.name);
  await eventually(
    "it serves, on trial",
    async () => {
      const { slots, lastWindow } = await plane.device(device.name);
      if (lastWindow === null) throw new Error("no telemetry yet");
      if (slots[0]?.serving !== true || slots[0].job?.state !== "soaking")
        throw new Error(JSON.stringify([slots, (await plane.rollout(rolloutId)).reason]));
      return true;
    },
    60_000,
  );
  return rolloutId;
}

const decommission = async (...args: string[]): Promise<DeviceDetail> =>
  (await runCliJson<DeviceDetail[]>(["devices", "decommission", ...args, "--yes"], plane.cliEnv))[0] as DeviceDetail;

const readActions = async (subject: string): Promise<string[]> =>
  (await plane.get<{ items: AuditEntry[] }>(`/api/v1/audit?subject=${subject}&limit=200`)).items.map(
    ({ action }) => action,
  );

const askAs = (identity: string): Promise<number> => askAsDevice(plane.url, identity);

const holdings = ["models", "slots", "state", "run", "downloads", "outbox.db"];
const listHoldings = (data: string): string[] => holdings.filter((name) => existsSync(join(data, name)));

async function runEnrol(device: TestDevice, token: string): Promise<string> {
  await device.enrol(plane, token).catch((error: unknown) => {
    throw new Error("refused", { cause: error });
  });
  return token;
}

describe("a device that is decommissioned", () => {
  it("goes on becoming empty after every kill, never serves again, says so, and only then loses its key", async () => {
    await using device = toDevice("cam-1");
    const rolloutId = await serve(device);
    const data = device.dataDir;
    const intent = join(data, "wipe.json");
    const copy = join(dir, "copy-of-identity");
    cpSync(join(data, "identity"), copy, { recursive: true });
    expect(await askAs(copy)).toBe(200);

    expect(await decommission("cam-1", "--reason", "sold")).toMatchObject({
      lifecycle: "decommissioning",
      decommission: { reason: "sold", wipe: "pending", forced: false, endedAtMs: null },
    });
    await eventually("the order is on the disk", () => existsSync(intent));
    await device.process.kill("SIGKILL");
    await plane.process.kill("SIGKILL");

    // Twice more it begins and is killed, while nobody can be told.
    for (const round of ["first", "second"]) {
      device.run();
      await eventually(`it is empty (${round})`, () => listHoldings(data).length === 0);
      await eventually("it tries to tell the plane", () => device.process.output.includes("not told yet"));
      expect(device.process.output).not.toContain("the agent runs");
      expect(readChildren(device.process.pid)).toEqual([]);
      await device.process.kill("SIGKILL");
      expect(existsSync(join(data, "identity", "device.key"))).toBe(true);
      expect(existsSync(intent)).toBe(true);
    }
    await using early = new OwnedProcess({
      name: "enrol",
      entry: toEntry("agent"),
      args: ["enrol", "--server", plane.url, "--token", manyTimes, "--device", "cam-1", "--data", data],
    });
    expect(await early.exited()).toBe(1);
    expect(early.output).toContain("wipe_unfinished");

    await plane.start();
    // A fast device may have told it, unanswered, between its order and the first kill.
    expect((await plane.device("cam-1")).lifecycle).toMatch(/^decommission(?:ing|ed)$/u);
    device.run();
    expect(await device.process.exited()).toBe(0);
    expect(readdirSync(data)).toEqual(["agent.lock"]);
    const gone = await plane.device("cam-1");
    expect(gone).toMatchObject({
      ...{ lifecycle: "decommissioned", online: false },
      decommission: { wipe: "confirmed", endedAtMs: expect.any(Number) },
    });
    expect(gone.slots.every(({ desired }) => desired === null)).toBe(true);
    expect(gone.lastWindow).not.toBeNull();
    expect(await readActions("cam-1")).toEqual(
      expect.arrayContaining(["device.enrol", "device.decommission-begin", "device.decommission"]),
    );
    await eventually("its job ends", async () => {
      const [job] = (await plane.rollout(rolloutId)).devices;
      return job?.state === "removed" && job.code === "device_decommissioned";
    });
    const described = await runWarmCli(["devices", "describe", "cam-1"], plane.cliEnv);
    expect(described.stdout).toContain("it said that it is empty");

    // Whoever kept the old certificate is nobody, and the name is given only to a new key on a new token.
    expect(await askAs(copy)).toBe(401);
    device.run();
    expect(await device.process.exited()).toBe(1);
    expect(device.process.output).toContain("not_enrolled");
    await expect(runEnrol(device, manyTimes)).rejects.toMatchObject({
      cause: { message: expect.stringContaining("token_spent") },
    });
    const fresh = await createEnrolmentToken(plane, 2);
    cpSync(copy, join(data, "identity"), { recursive: true });
    await expect(runEnrol(device, fresh)).rejects.toMatchObject({
      cause: { message: expect.stringContaining("key_retired") },
    });
    rmSync(join(data, "identity"), { recursive: true });
    await device.enrol(plane, fresh);
    device.run();
    const back = await eventually("it is back, as a new device", async () => {
      const seen = await plane.device("cam-1");
      return seen.online && seen.reported !== null && seen;
    });
    expect(back).toMatchObject({ lifecycle: "enrolled", decommission: null, birth: { generation: 0 } });
    expect(await askAs(copy)).toBe(401);
  }, 180_000);

  it("is refused at once when it is ended by force, which leaves on it what is there and says so", async () => {
    await using device = toDevice("cam-2");
    await serve(device);
    expect(await decommission("cam-2", "--force")).toMatchObject({
      lifecycle: "decommissioned",
      decommission: { wipe: "unconfirmed", forced: true },
    });
    await eventually("its session ends and is not opened again", async () => {
      const { online } = await plane.device("cam-2");
      return !online && device.process.output.includes("the link to the plane ended");
    });
    expect(await askAs(join(device.dataDir, "identity"))).toBe(401);
    await eventually("it is refused", async () => {
      const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=200");
      return items.some(({ action, actor }) => action === "broker.refuse" && actor === "device:cam-2");
    });
    expect(listHoldings(device.dataDir)).toEqual(holdings);
    const described = await runWarmCli(["devices", "describe", "cam-2"], plane.cliEnv);
    expect(described.stdout).toContain("nobody knows whether anything was removed");
  }, 90_000);

  it("is ended by force when it never answers", async () => {
    await using device = toDevice("cam-3");
    await device.enrol(plane, manyTimes);
    expect(await decommission("cam-3")).toMatchObject({ lifecycle: "decommissioning" });
    expect(await decommission("cam-3")).toMatchObject({ lifecycle: "decommissioning" });
    expect(await decommission("cam-3", "--force")).toMatchObject({ decommission: { wipe: "unconfirmed" } });
    const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?subject=cam-3&limit=200");
    expect(items.filter(({ action }) => action === "device.decommission-begin")).toHaveLength(1);
  }, 45_000);
});
