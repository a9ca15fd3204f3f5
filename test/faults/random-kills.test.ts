import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { killNow, readChildren } from "../support/child-of.ts";
import { runCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { loadDigits } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { createSecondPerson } from "../support/second-person.ts";
import { SteadyLoad } from "../support/load.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { createRandom, pick } from "../support/random.ts";
import { readStoredTelemetry } from "../support/stored-telemetry.ts";

const kills = 50;
/** `npm run soak` gives one of each round; the test's name says which it was. */
const seed = Number(process.env["FAIRLEAD_TEST_SEED"] ?? "20261123");
const dir = mkdtempSync(join(tmpdir(), "fairlead-kills-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const devices = ["dev-a", "dev-b"].map(
  (name) => new TestDevice({ name, dir: join(dir, name), labels: { site: "lab" }, telemetryWindowMs: 300 }),
);

/** Where devices keep models, and the plane what it was given. */
const folders = [...devices.map((device) => device.dataDir), join(plane.dir, "data")];
let passed = false;
let accepted = 0;
const ended = ["succeeded", "failed", "rolled_back", "rollback_failed", "canceled"];
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function rollOut(version: string, deviceSoak = "500ms"): Promise<RolloutStatus> {
  const target = ["--model", "digit-reader", "--version", version, "--slot", "reader", "--selector", "site=lab"];
  const policy = ["--stages", "first=50%,all=100%", "--soak", "1s", "--device-soak", deviceSoak];
  const create = ["rollouts", "create", ...target, ...policy, "-o", "json"];
  const first = await runCli(create, plane.cliEnv);
  if (first.code === 0) return JSON.parse(first.stdout) as RolloutStatus;
  expect(first.stderr).toContain("release_known_bad");
  await acceptAgain(version);
  return runCliJson<RolloutStatus>(create.slice(0, -2), plane.cliEnv);
}

/** Devices that were killed too often fail a rollout: that it was not the release, a second person says. */
async function acceptAgain(version: string): Promise<void> {
  const accept = [
    "releases",
    "accept-known-bad",
    "digit-reader",
    version,
    "--reason",
    "its devices were killed",
    "--yes",
  ];
  const answer = await runCli(accept, await createSecondPerson(plane.cliEnv));
  expect(answer, answer.stderr).toMatchObject({ code: 0 });
  accepted += 1;
}

async function waitForEnd(id: string): Promise<RolloutStatus> {
  return eventually(
    `${id} ends`,
    async () => {
      const status = await plane.rollout(id);
      return ended.includes(status.state) && status;
    },
    90_000,
  );
}

beforeAll(async () => {
  await plane.start();
  const token = await createEnrolmentToken(plane, devices.length);
  for (const device of devices) {
    await device.enrol(plane, token);
    device.run();
  }
  for (const version of ["1.0.0", "1.1.0"] as const) await publishDigitReader(plane, version);
}, 120_000);

afterAll(async () => {
  await Promise.all(devices.map((device) => device[Symbol.asyncDispose]()));
  await plane[Symbol.asyncDispose]();
  if (passed) rmSync(dir, { recursive: true, force: true });
});

/** Kills one process at random without warning; those that nobody else restarts are started again. */
async function strike(random: () => number): Promise<string> {
  const victim = pick(random, ["plane", "supervisor", "serving"] as const);
  const device = pick(random, devices);
  if (victim === "plane") {
    await plane.process.kill("SIGKILL");
    if (random() < 0.25) {
      // This one dies while it starts: it may be anywhere between its first statement and its readiness.
      plane.start().catch(() => undefined);
      await wait(random() * 1_500);
      await plane.process.kill("SIGKILL");
      await plane.start();
      return "plane, and again while it started";
    }
    await plane.start();
  } else if (victim === "supervisor") {
    await device.process.kill("SIGKILL");
    device.run();
  } else {
    killServing(device);
  }
  return victim === "plane" ? victim : `${victim} of ${device.name}`;
}

function killServing(device: TestDevice): void {
  for (const pid of readChildren(device.process.pid)) killNow(pid);
}

/** Does its serving process answer for the model now? */
async function isReady(device: TestDevice): Promise<boolean> {
  try {
    const endpoint = (await plane.device(device.name)).reported?.inferenceEndpoint;
    const answer = await fetch(`${endpoint}/v2/models/digit-reader/ready`, { signal: AbortSignal.timeout(2_000) });
    await answer.body?.cancel();
    return answer.status === 200;
  } catch {
    return false;
  }
}

it("runs a version that failed for kills alone again, by the word of a second person", async () => {
  await waitForEnd((await rollOut("1.0.0")).rolloutId);
  const { rolloutId } = await rollOut("1.1.0", "60s");
  const failed = await eventually(
    "a device whose serving process dies again and again gives the version up",
    async () => {
      for (const device of devices) {
        const { slots } = await plane.device(device.name);
        if (slots[0]?.job?.state === "soaking" && (await isReady(device))) killServing(device);
      }
      const status = await plane.rollout(rolloutId);
      return ended.includes(status.state) && status;
    },
    120_000,
  );
  expect(failed.state).not.toBe("succeeded");
  const before = accepted;
  const again = await waitForEnd((await rollOut("1.1.0")).rolloutId);
  expect(accepted).toBe(before + 1);
  expect(again).toMatchObject({ state: "succeeded" });
}, 300_000);

it(`survives ${kills} random kills during rollouts with nothing lost, half-loaded or counted twice (FAIRLEAD_TEST_SEED=${seed})`, async () => {
  const random = createRandom(seed);
  const struck: string[] = [];
  const first = await rollOut("1.0.0");
  await waitForEnd(first.rolloutId);
  const digits = loadDigits("test");
  const loads = devices.map(
    (device) => new SteadyLoad({ endpoint: () => device.endpoint, model: "digit-reader", digits, perSecond: 20 }),
  );
  for (const device of devices) await device.waitForEndpoint(plane);
  for (const load of loads) load.start();

  let current: RolloutStatus | undefined;
  let target = "1.1.0";
  for (let count = 0; count < kills; count += 1) {
    if (current === undefined || ended.includes((await plane.rollout(current.rolloutId)).state)) {
      current = await rollOut(target);
      target = target === "1.1.0" ? "1.0.0" : "1.1.0";
    }
    await wait(random() * 700);
    struck.push(await strike(random));
    for (const folder of folders) expectFilesWhole(folder);
  }
  expect(struck).toHaveLength(kills);

  // The rollout that the last kill met still ends, and each device runs what the plane wants it to run.
  await waitForEnd(current?.rolloutId ?? "");
  for (const load of loads) await load[Symbol.asyncDispose]();
  await eventually(
    "both devices run what is desired",
    async () => {
      const all = await plane.devices();
      return all.every(
        (device) =>
          device.online && device.slots.some((slot) => slot.serving && slot.desired?.version === slot.running?.version),
      );
    },
    60_000,
  );
  await eventually(
    "the outboxes are empty",
    async () => {
      const details = await Promise.all(devices.map((device) => plane.device(device.name)));
      return details.every((detail) => detail.telemetry.gaps === 0 && detail.telemetry.storedUpTo > 0);
    },
    60_000,
  );

  for (const device of devices) {
    await device.process.kill("SIGTERM");
    expect(expectFilesWhole(device.dataDir)).toBeGreaterThan(0);
  }
  await plane.process.kill("SIGTERM");
  for (const [index, device] of devices.entries()) {
    const stored = readStoredTelemetry(plane, device, "reader");
    // What the device was told to let go of, the plane holds: every sequence number once, without a gap.
    expect(stored).toMatchObject({ epochs: [{ gaps: 0 }], missing: 0, integrityFailures: [] });
    expect(stored.epochs[0]?.storedUpTo).toBeGreaterThan(20);
    // Kills lose requests that were not yet counted; none is counted twice.
    expect(stored.requests).toBeGreaterThan(0);
    expect(stored.requests).toBeLessThanOrEqual(loads[index]?.tally("start").requests ?? 0);
  }
  passed = true;
}, 400_000);

/** Every file that has its digest for a name holds exactly those bytes, at any moment; how many there are. */
function expectFilesWhole(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && /^[0-9a-f]{64}$/u.test(entry.name),
  );
  for (const file of files) {
    const bytes = readIfThere(join(file.parentPath, file.name));
    if (bytes !== undefined) expect(createHash("sha256").update(bytes).digest("hex")).toBe(file.name);
  }
  return files.length;
}

/** A file that nobody needs any more may go between being listed and being read. */
function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
