import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChoiceCandidate, RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { findBench, quickModel, slowModel } from "../support/bench-process.ts";
import { killNow } from "../support/child-of.ts";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-choice-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "cam-1", dir: join(dir, "cam-1"), labels: { site: "lab" } });
const files = ["1.1.0-int8", "1.1.0-fp32", "1.2.0-int8-miscalibrated"].map((name) => `digit-reader-${name}.onnx`);

async function rollOut(version: string, builds: readonly string[], onFailure = "rollback"): Promise<RolloutStatus> {
  const name = ["--model", "digit-reader", "--version", version];
  const golden = ["--golden", digitModelPath("golden-1.1.0.json"), "--objective", "latency", "--accuracy-floor", "0.9"];
  const push = ["models", "push", ...builds.map(digitModelPath), ...name, ...golden, "--labels", "0,1,2,3,4,5,6,7,8,9"];
  for (const step of [push, ["releases", "sign", "digit-reader", version]]) {
    const answer = await runWarmCli(step, plane.cliEnv);
    expect(answer.code, answer.stderr).toBe(0);
  }
  const { rolloutId } = await runCliJson<RolloutStatus>(
    [
      ...["rollouts", "create", ...name, "--slot", "reader", "--selector", "site=lab"],
      ...["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s", "--gate", "self-test>=1"],
      ...["--on-failure", onFailure],
    ],
    plane.cliEnv,
  );
  return eventually(
    "the rollout ends",
    async () => {
      const status = await plane.rollout(rolloutId);
      return ["succeeded", "failed", "rolled_back", "paused"].includes(status.state) ? status : undefined;
    },
    60_000,
  );
}

const readSlot = async () => (await plane.device(device.name)).reported?.slots.find(({ slot }) => slot === "reader");
const describe = async () => (await runWarmCli(["devices", "describe", device.name], plane.cliEnv)).stdout;

beforeAll(async () => {
  await plane.start();
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  device.run();
  await device.waitForEndpoint(plane);
}, 60_000);
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

it("rolls out one version in three builds: the device takes the fastest that reads right, and the plane shows why", async () => {
  expect((await rollOut("1.1.0", files)).state).toBe("succeeded");
  const slot = await eventually("the choice is reported", async () => {
    const found = await readSlot();
    return found?.choice?.state === "decided" && found.serving ? found : undefined;
  });
  const candidates = slot.choice?.candidates ?? [];
  const of = (verdict: ChoiceCandidate["verdict"]) => candidates.filter((one) => one.verdict === verdict);
  expect([of("chosen"), of("lost"), of("excluded")].map(({ length }) => length)).toEqual([1, 1, 1]);
  const [chosen, lost] = [...of("chosen"), ...of("lost")];
  expect(chosen?.latencyUs?.p50).toBeLessThanOrEqual(lost?.latencyUs?.p50 ?? 0);
  expect(slot.active?.buildDigest).toBe(chosen?.buildDigest);

  const lines = (await describe()).split("\n");
  const from = lines.findIndex((line) => line.startsWith("choice       reader"));
  expect(lines[from]).toBe("choice       reader: decided by latency, accuracy at least 0.9 (release)");
  for (const [at, { buildDigest, verdict, precision }] of candidates.entries()) {
    const line = lines[from + 1 + at] ?? "";
    expect(line).toContain(`${buildDigest.slice(7, 19)} ${precision}`);
    expect(line).toMatch(/p50 [\d.]+ µs p99 [\d.]+ µs {2}[\d.e-]+ J\/inference (?:measured|counted|modelled)/u);
    expect(line).toContain(`${verdict}: `);
  }
  expect(lines.join("\n")).toContain("accuracy 0 % is below the floor of 90 %");
}, 120_000);

it("stops a version of which no build passes: the rollout, the device and its description name the error", async () => {
  const before = await readSlot();
  const bad = ["digit-reader-1.2.0-int8-miscalibrated.onnx", "digit-reader-1.0.0-int8.onnx"];
  const status = await rollOut("1.3.0", bad, "pause");
  expect(status.state).toBe("paused");
  expect(status.devices).toMatchObject([{ device: device.name, state: "failed", code: "no_build_passed" }]);
  const slot = await eventually("the device says so itself", async () => {
    const found = await readSlot();
    return found?.job?.state === "failed" ? found : undefined;
  });
  expect(slot).toMatchObject({ serving: true, choice: { chosen: null, state: "decided" } });
  expect(slot.active?.buildDigest).toBe(before?.active?.buildDigest);
  const described = await describe();
  expect(described).toContain("job failed no_build_passed: none of 2 builds passed on this device");
  expect(described.match(/excluded: accuracy [\d.]+ % is below the floor of 90 %/gu)).toHaveLength(2);
}, 120_000);

it("shows a device that goes over to another build of its release, and the rollout stays what it was", async () => {
  await using other = new TestDevice({ name: "cam-2", dir: join(dir, "cam-2"), labels: { site: "yard" } });
  await other.enrol(plane, await createEnrolmentToken(plane, 1));
  other.run();
  await other.waitForEndpoint(plane);
  for (const [file, model] of [
    ["quick.onnx", quickModel()],
    ["slow.onnx", slowModel()],
  ] as const)
    writeFileSync(join(dir, file), model);
  const name = ["--model", "loops", "--version", "1.0.0"];
  const steps = [
    ["models", "push", join(dir, "quick.onnx"), join(dir, "slow.onnx"), ...name, "--objective", "latency"],
    ["releases", "sign", "loops", "1.0.0"],
  ];
  for (const step of steps) {
    const answer = await runWarmCli(step, plane.cliEnv);
    expect(answer.code, answer.stderr).toBe(0);
  }
  const { rolloutId } = await runCliJson<RolloutStatus>(
    [
      ...["rollouts", "create", ...name, "--slot", "main", "--selector", "site=yard", "--stages", "all=100%"],
      ...["--soak", "0s", "--device-soak", "0s", "--gate", "self-test>=1"],
    ],
    plane.cliEnv,
  );
  killNow(await eventually("the first candidate runs", () => findBench(other.process.pid)));
  await eventually("it succeeds", async () => (await plane.rollout(rolloutId)).state === "succeeded", 60_000);
  const readMain = async () => (await plane.device(other.name)).reported?.slots.find(({ slot }) => slot === "main");
  const first = await eventually("the crash is reported", async () => {
    const found = await readMain();
    return found?.choice?.candidates.some(({ reason }) => reason.startsWith("crash: ")) ? found : undefined;
  });

  await other.process.kill("SIGKILL");
  writeFileSync(join(other.dataDir, "config.yaml"), "choice: { benchmarkMs: 300 }\n");
  other.run();
  const second = await eventually("it has switched", async () => {
    const found = await readMain();
    const switched = found?.active?.buildDigest !== first.active?.buildDigest;
    return switched && found?.job?.state === "succeeded" && found.serving ? found : undefined;
  });
  expect(second.active).toMatchObject({ version: "1.0.0", buildDigest: second.choice?.chosen });
  expect(second.job).toMatchObject({ rolloutId, attempt: first.job?.attempt });
  const status = await plane.rollout(rolloutId);
  expect(status).toMatchObject({ state: "succeeded", devices: [{ device: other.name, state: "succeeded" }] });
  const described = await runWarmCli(["devices", "describe", other.name], plane.cliEnv);
  expect(described.stdout).toMatch(/main: wants loops 1\.0\.0, runs loops 1\.0\.0, (?!.*fail)/u);
  expect(described.stdout).toMatch(/lost: p50 [\d.]+ µs, the chosen build [\d.]+ µs/u);
}, 120_000);
