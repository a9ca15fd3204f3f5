import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Alert, AuditEntry, DeviceDetail } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toEntry } from "../support/entries.ts";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { askAsDevice } from "../support/ask-as-device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { OwnedProcess } from "../support/process.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-clones-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
let token = "";
const toDevice = (name: string, folder = name): TestDevice =>
  new TestDevice({ name, dir: join(dir, folder), labels: { site: "lab" }, telemetryWindowMs: 300 });

beforeAll(async () => {
  await plane.start();
  token = await createEnrolmentToken(plane, 10);
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const isWell = async (name: string): Promise<DeviceDetail | false> => {
  const seen = await plane.device(name);
  return seen.online && seen.integrity === "verified" && seen.telemetry.storedUpTo > 3 && seen;
};

/** What the plane answers to whoever shows the identity that lies in this data folder. */
const askAs = ({ dataDir }: TestDevice): Promise<number> => askAsDevice(plane.url, join(dataDir, "identity"));

async function enrolAgain(device: TestDevice, withToken: string, ...more: string[]): Promise<OwnedProcess> {
  const where = ["--server", plane.url, "--token", withToken, "--device", device.name, "--data", device.dataDir];
  const enrolment = new OwnedProcess({
    name: "enrol",
    entry: toEntry("agent"),
    args: ["enrol", ...where, ...more],
  });
  await enrolment.exited();
  return enrolment;
}

const listAlerts = async (state: Alert["state"]): Promise<Alert[]> =>
  (await plane.get<{ items: Alert[] }>("/api/v1/alerts?limit=100")).items.filter(
    (alert) => alert.kind === "identity-cloned" && alert.state === state,
  );

describe("a device whose data folder is copied and started twice", () => {
  it("is quarantined with what was seen, does not fight over its session, and comes back with another key alone", async () => {
    await using device = toDevice("cam-1");
    await device.enrol(plane, token);
    device.run();
    await eventually("it is well", () => isWell("cam-1"));
    await device.process.kill("SIGTERM");
    await using copy = toDevice("cam-1", "copy-of-cam-1");
    cpSync(device.dir, copy.dir, { recursive: true });

    device.run();
    copy.run();
    const found = await eventually("it is quarantined", async () => {
      const seen = await plane.device("cam-1");
      return seen.lifecycle === "quarantined" && seen.cloned !== null && seen;
    });
    expect(found.cloned?.evidence.length).toBeGreaterThan(0);
    expect(await listAlerts("firing")).toMatchObject([{ device: "cam-1", summary: expect.stringContaining(":") }]);
    const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?subject=cam-1&limit=200");
    const seen = items.find(({ action }) => action === "device.clone-detected");
    // The appraisal of the forked chain may have put it there a moment before; the finding is another one all the same.
    const held = items.some(({ action, index }) => action === "remediation.quarantine" && index < (seen?.index ?? 0));
    expect(seen).toMatchObject({
      details: { code: found.cloned?.code, before: held ? "quarantined" : "enrolled", after: "quarantined" },
    });
    const described = await runWarmCli(["devices", "describe", "cam-1"], plane.cliEnv);
    expect(described.stdout).toMatch(/cloned .*\n\s+\S/u);
    expect(described.stdout).toContain("fairlead devices release");

    await eventually("one of them is refused", async () => (await countRefusals("cam-1")) >= 1);
    const { birth } = await plane.device("cam-1");
    await eventually("and again", async () => (await countRefusals("cam-1")) >= 3);
    expect((await plane.device("cam-1")).birth?.instance).toBe(birth?.instance);

    await runCliJson(["devices", "release", "cam-1", "--reason", "the copy is in the lab", "--yes"], plane.cliEnv);
    expect(await plane.device("cam-1")).toMatchObject({ lifecycle: "pending" });
    expect([await askAs(device), await askAs(copy)]).toEqual([401, 401]);
    expect(await listAlerts("resolved")).toHaveLength(1);
    await device.process.kill("SIGTERM");
    expect((await enrolAgain(device, token)).output).toContain("token_spent");
    const fresh = await createEnrolmentToken(plane, 3);
    expect((await enrolAgain(device, fresh)).output).toContain("key_retired");
    expect((await enrolAgain(device, fresh, "--new-key")).output).toContain("enrolled cam-1");
    device.run();
    const back = await eventually("it is back", () => isWell("cam-1"));
    expect(back).toMatchObject({ lifecycle: "enrolled", cloned: null, labels: { site: "lab" } });
    expect(await askAs(copy)).toBe(401);
    expect(await listAlerts("firing")).toEqual([]);
  }, 150_000);
});

/** What a thief takes along while the device is off, and how that shows when the device is back. */
const thefts = [
  // Where the thief was long enough alone, the device's own queue tells before its evidence does.
  ["its key alone", "identity", ["chain_forked", "epoch_returned"]],
  // The thief's agent goes on where the device stopped, in every count.
  ["its whole folder", "", ["sequence_forked", "chain_forked"]],
] as const;

describe("a device of which a copy is used only while it is off", () => {
  it.each(thefts)(
    "is quarantined at its next session when %s was copied, and the alert ends with the device",
    async (_what, part, codes) => {
      const name = part === "" ? "cam-4" : "cam-3";
      await using device = toDevice(name);
      await device.enrol(plane, token);
      device.run();
      const before = await eventually("it is well", () => isWell(name));
      await device.process.kill("SIGTERM");
      await using thief = toDevice(name, `thief-of-${name}`);
      cpSync(join(device.dataDir, part), join(thief.dataDir, part), { recursive: true });
      thief.run();
      const { birth, telemetry } = await eventually("the thief is heard", async () => {
        const seen = await plane.device(name);
        const since = seen.birth?.epoch === before.birth?.epoch ? before.telemetry.storedUpTo : 0;
        const isHeard = seen.telemetry.epoch === seen.birth?.epoch && seen.telemetry.storedUpTo > since + 3;
        // A chain that begins again fails its appraisal: that is how its first link shows.
        const isAppraised = part === "" || seen.integrity === "failed";
        return seen.birth?.instance !== before.birth?.instance && isHeard && isAppraised && seen;
      });
      await thief.process.kill("SIGTERM");
      // As long as nobody else speaks, nothing says that it was not the device: a lost disk looks like this.
      expect(await plane.device(name)).toMatchObject({ cloned: null, birth: { instance: birth?.instance } });
      expect(telemetry.epoch === before.telemetry.epoch).toBe(part === "");

      device.run();
      const found = await eventually("the device is back, and two were there", async () => {
        const seen = await plane.device(name);
        return seen.lifecycle === "quarantined" && seen.cloned !== null && seen;
      });
      expect(codes).toContain(found.cloned?.code);
      const firing = () => listAlerts("firing").then((alerts) => alerts.filter(({ device: of }) => of === name));
      const [alert] = await firing();
      const refused = await runWarmCli(
        ["alerts", "resolve", alert?.alertId ?? "", "--reason", "it annoys", "--yes"],
        plane.cliEnv,
      );
      expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining("devices release") });
      await runCliJson(["devices", "decommission", name, "--force", "--yes"], plane.cliEnv);
      expect(await firing()).toEqual([]);
      expect([await askAs(device), await askAs(thief)]).toEqual([401, 401]);
    },
    150_000,
  );
});

async function countRefusals(device: string): Promise<number> {
  const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=1000");
  return items.filter(({ action, actor }) => action === "broker.refuse" && actor === `device:${device}`).length;
}

describe("an honest device", () => {
  it("is never called a clone for kills, a plane that is killed, and the loss of its queue or of its session number", async () => {
    await using device = toDevice("cam-2");
    await device.enrol(plane, token);
    device.run();
    const remove = (folder: string, start: string): void => {
      for (const name of readdirSync(folder).filter((file) => file.startsWith(start))) rmSync(join(folder, name));
    };
    const losses = [
      () => undefined,
      () => remove(device.dataDir, "outbox.db"),
      () => remove(join(device.dataDir, "state"), "session.json"),
      () => undefined,
    ];
    for (const [round, lose] of losses.entries()) {
      const before = (await plane.device("cam-2")).birth?.instance;
      if (round > 0) device.run();
      await eventually(`it is well (${round})`, async () => {
        const seen = await isWell("cam-2");
        return seen && seen.birth?.instance !== before;
      });
      await device.process.kill("SIGKILL");
      lose();
    }
    device.run();
    await eventually("it is back", () => isWell("cam-2"));
    await plane.process.kill("SIGKILL");
    await plane.start();
    await eventually("it is back once more", () => isWell("cam-2"));
    expect(await plane.device("cam-2")).toMatchObject({ lifecycle: "enrolled", cloned: null });
    expect(await listAlerts("firing")).toEqual([]);
  }, 150_000);
});
