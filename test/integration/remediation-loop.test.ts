import { writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Alert, AuditEntry, Remediation, RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { publishDigitReader } from "../support/publish.ts";
import { AnsweringDevice } from "./answering-device.ts";
import { enrol, RawDevice, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startPlane();
  for (const version of ["1.0.0", "1.1.0"] as const) await publishDigitReader(harness.plane, version);
}, 120_000);
afterAll(() => harness[Symbol.asyncDispose]());

const list = async <Item>(path: string): Promise<Item[]> =>
  (await harness.plane.get<{ items: Item[] }>(`/api/v1/${path}?limit=1000`)).items;
const findCase = async (device: string): Promise<Remediation | undefined> =>
  (await list<Remediation>("remediations")).find((found) => found.device === device);
const findAlert = async (device: string): Promise<Alert | undefined> =>
  (await list<Alert>("alerts")).find((found) => found.device === device);

/** What the audit log says of a case, oldest first. */
async function listActions(remediationId: string): Promise<string[]> {
  const entries = await list<AuditEntry>("audit");
  return entries
    .filter(({ subject }) => subject === `remediation:${remediationId}`)
    .map(({ action }) => action.replace("remediation.", ""))
    .toReversed();
}

async function roll(version: string): Promise<void> {
  const { rolloutId } = await runCliJson<RolloutStatus>(
    [
      ...["rollouts", "create", "--model", "digit-reader", "--version", version, "--slot", "reader"],
      ...["--selector", "site=test", "--stages", "all=100%", "--soak", "0", "--device-soak", "0"],
    ],
    harness.plane.cliEnv,
  );
  await eventually(
    `${version} is everywhere`,
    async () => (await harness.plane.rollout(rolloutId)).state === "succeeded",
  );
}

describe("a build that crashes again and again", () => {
  it("is left for the one before, at the third crash, and stays left", async () => {
    await using device = await AnsweringDevice.enrol(harness, "cam-1");
    await roll("1.0.0");
    await roll("1.1.0");
    const buildDigest = (await harness.plane.device("cam-1")).reported?.slots[0]?.active?.buildDigest ?? "";
    const crash = (restarts: number, digest = buildDigest) =>
      device.tell({ kind: "serving-crashed", slot: "reader", buildDigest: digest, exit: "SIGSEGV", restarts });

    // Crashes of another build speak of another time.
    for (const restarts of [1, 2, 3]) await crash(restarts, `sha256:${"0".repeat(64)}`);
    await crash(1);
    await device.raw.acknowledged(await crash(2));
    expect(await findCase("cam-1")).toBeUndefined();
    // It does what it is told, and shows only afterwards that this helped.
    device.silent = true;
    await crash(3);
    await eventually("the command is done", async () => (await findCase("cam-1"))?.state === "verifying");
    device.silent = false;
    await device.answer();

    const ended = await eventually("the case is resolved", async () => {
      const found = await findCase("cam-1");
      return found?.state === "resolved" && found;
    });
    expect(ended).toMatchObject({
      ...{ rule: "revert-crashing-build", symptom: "crash-loop", code: "verified" },
      evidence: { slot: "reader", buildDigest, crashes: 3 },
      actions: expect.arrayContaining([expect.objectContaining({ kind: "revert", state: "done" })]),
    });
    expect(device.commands).toEqual([
      expect.objectContaining({
        kind: "revert",
        slot: "reader",
        buildDigest,
        reason: expect.stringContaining("3 times"),
      }),
    ]);
    expect(device.running()).toBe("1.0.0");
    // What the device should run from now on agrees with what it went back to.
    const detail = await harness.plane.device("cam-1");
    expect(detail.slots[0]).toMatchObject({ slot: "reader", desired: { version: "1.0.0" } });
    expect(detail.reported?.slots[0]?.active?.version).toBe("1.0.0");
    expect(await listActions(ended.remediationId)).toEqual([
      ...["open-case", "start-attempt", "withdraw-release", "issue-command"],
      ...["record-outcome", "start-verifying", "close-case"],
    ]);
    expect(await findAlert("cam-1")).toBeUndefined();
  });
});

const silentAfterMs = 300_000;

/** Of a plane whose clock goes ahead by the time of a silence once the file is there. */
function toClockEnv(file: string): Record<string, string> {
  const source = `import { existsSync } from "node:fs";
    const now = Date.now;
    Date.now = () => now() + (existsSync(${JSON.stringify(file)}) ? ${silentAfterMs + 1_000} : 0);`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(source)}` };
}

describe("a device that is silent", () => {
  it("raises an alert, which ends when the device is back", async () => {
    const identity = await enrol(harness, "cam-2");
    await (async () => {
      await using before = await RawDevice.connect(harness, identity);
      await before.birth();
      await eventually("it is online", async () => (await harness.plane.device("cam-2")).online);
    })();
    await harness.plane.process.kill("SIGTERM");
    // It was heard for the last time six minutes ago: one more than an alert waits for.
    const database = new Database(join(harness.dir, "data", "plane.db"));
    const heardAtMs = Date.now() - 6 * 60_000;
    database.prepare("UPDATE devices SET lastSeenMs = ? WHERE device = 'cam-2'").run(heardAtMs);
    database.close();
    const aheadFile = join(harness.dir, "clock-ahead");
    const startedAtMs = Date.now();
    await harness.plane.start(toClockEnv(aheadFile));

    // While the plane was away nobody could tell it anything, so it waits as long as for any other silence.
    expect(await findAlert("cam-2")).toBeUndefined();
    // One that was heard of a moment ago is not silent either, though it is as offline as the other.
    expect((await harness.plane.device("cam-1")).online).toBe(false);
    expect(await findAlert("cam-1")).toBeUndefined();
    writeFileSync(aheadFile, "");

    const firing = await eventually("the alert fires", async () => findAlert("cam-2"));
    expect(firing).toMatchObject({ kind: "alert-silent-device", state: "firing" });
    expect(firing.firedAtMs - startedAtMs).toBeGreaterThan(silentAfterMs);
    const open = await findCase("cam-2");
    expect(open).toMatchObject({
      rule: "alert-silent-device",
      symptom: "device-silent",
      evidence: { lastSeenMs: heardAtMs },
    });

    await using back = await RawDevice.connect(harness, identity, 2);
    await back.birth({ session: 2 });
    await eventually("the alert has ended", async () => (await findAlert("cam-2"))?.state === "resolved");
    const closed = await findCase("cam-2");
    expect(closed).toMatchObject({ remediationId: open?.remediationId, state: "resolved", code: "verified" });
    expect(await listActions(closed?.remediationId ?? "")).toEqual([
      ...["open-case", "start-attempt", "fire-alert", "start-verifying", "close-case", "resolve-alert"],
    ]);
    expect((await list<Alert>("alerts")).filter(({ device }) => device === "cam-2")).toHaveLength(1);
  });
});
