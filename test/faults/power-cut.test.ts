import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { readOutbox } from "../support/stored-telemetry.ts";
import { SystemCalls, whyNoSystemCalls, type SystemCall } from "../support/system-calls.ts";

const reason = whyNoSystemCalls();
const dir = mkdtempSync(join(tmpdir(), "fairlead-power-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "dev-1", dir: join(dir, "dev-1"), labels: {}, telemetryWindowMs: 500 });
const isSync = ({ name }: SystemCall): boolean => name === "fsync" || name === "fdatasync";

/** Renames after which a power cut may leave a name without its bytes, or the old name. */
function listUnsafe(calls: readonly SystemCall[], folder: string): string[] {
  const synced = (path: string, among: readonly SystemCall[]) =>
    among.some((call) => isSync(call) && call.paths[0] === path);
  return calls.flatMap((call, index) => {
    const [from = "", to = ""] = call.name.startsWith("rename") ? call.paths.slice(-2) : [];
    if (!to.startsWith(folder)) return [];
    const before = synced(from, calls.slice(0, index));
    const after = synced(
      dirname(to),
      calls.slice(index + 1).filter(({ beganAt }) => beganAt >= call.endedAt),
    );
    return before && after ? [] : [`${from} → ${to}: file ${before}, folder ${after}`];
  });
}

/**
 * A killed process leaves what it wrote with the kernel; a power cut takes that too. What is watched here is the only
 * difference: whether the kernel was told to put it on the disk, and before what.
 */
describe.skipIf(reason !== undefined)(`a power cut${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  beforeAll(async () => {
    await plane.start();
    await device.enrol(plane, await createEnrolmentToken(plane, 1));
    device.run();
    await publishDigitReader(plane, "1.0.0");
    await eventually("the device is online", async () => (await plane.device(device.name)).online);
  }, 120_000);
  afterAll(async () => {
    await device[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  it("finds each file of the agent whole: its bytes are on the disk before its name, and the name before what follows", async () => {
    await using calls = await SystemCalls.attach(device.process.pid, join(dir, "agent.calls"));
    const target = ["--model", "digit-reader", "--version", "1.0.0", "--slot", "reader", "--all-devices"];
    const { rolloutId } = await runCliJson<RolloutStatus>(
      ["rollouts", "create", ...target, "--stages", "all=100%", "--soak", "0s", "--device-soak", "0s"],
      plane.cliEnv,
    );
    await eventually("it runs", async () => (await plane.rollout(rolloutId)).state === "succeeded", 60_000);
    const seen = await eventually("what it did is written down", () => {
      const all = calls.read();
      return all.some(({ name, paths }) => name.startsWith("rename") && paths.at(-1)?.includes("/models/")) && all;
    });
    const renamed = seen.filter(({ name }) => name.startsWith("rename")).map(({ paths }) => paths.at(-1) ?? "");
    expect(renamed.filter((path) => path.includes("/state/")).length).toBeGreaterThan(1);
    expect(renamed.filter((path) => path.includes("/slots/")).length).toBeGreaterThan(0);
    expect(listUnsafe(seen, device.dataDir)).toEqual([]);
  }, 120_000);

  it("takes nothing that was acknowledged: the plane's log is on the disk for each message, and so is the device's", async () => {
    await using ofDevice = await SystemCalls.attach(device.process.pid, join(dir, "outbox.calls"));
    await using ofPlane = await SystemCalls.attach(plane.process.pid, join(dir, "plane.calls"));
    const syncsOf = (calls: SystemCalls, path: string) =>
      calls.read().filter((call) => isSync(call) && call.paths[0] === path);
    const first = readOutbox(device).lastSeq;
    const askStored = async () => (await plane.device(device.name)).telemetry.storedUpTo;
    const storedFirst = await askStored();
    await eventually("twelve messages were acknowledged", async () => (await askStored()) >= storedFirst + 12, 60_000);
    const appended = readOutbox(device).lastSeq - first;
    const stored = (await askStored()) - storedFirst;
    // A message is appended by one transaction and acknowledged by another; one of the plane may hold several messages.
    expect(syncsOf(ofDevice, join(device.dataDir, "outbox.db-wal")).length).toBeGreaterThanOrEqual(appended);
    const synced = syncsOf(ofPlane, join(plane.dir, "data", "plane.db-wal")).length;
    expect(synced).toBeGreaterThanOrEqual(Math.ceil(stored / 3));
  }, 120_000);
});
