import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { loadDigits } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { SteadyLoad } from "../support/load.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-shadow-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({
  name: "cam-1",
  dir: join(dir, "cam-1"),
  labels: { site: "lab" },
  telemetryWindowMs: 500,
});

const create = (version: string, policy: readonly string[]) =>
  runCliJson<RolloutStatus>(
    [
      ...["rollouts", "create", "--model", "digit-reader", "--version", version, "--slot", "reader"],
      ...["--selector", "site=lab", "--device-soak", "0s", ...policy],
    ],
    plane.cliEnv,
  );
const reach = (rolloutId: string, state: string) =>
  eventually(
    `rollout is ${state}`,
    async () => {
      const status = await plane.rollout(rolloutId);
      if (status.state !== state && ["failed", "rolled_back", "succeeded"].includes(status.state))
        throw new Error(`it is ${status.state}: ${status.reason}`);
      return status.state === state ? status : undefined;
    },
    60_000,
  );
const shadowed = ["--stages", "beside=100%,all=100%", "--shadow", "beside=100%", "--soak", "1s"];

beforeAll(async () => {
  await plane.start();
  for (const version of ["1.0.0", "1.1.0", "1.2.0"] as const) await publishDigitReader(plane, version);
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  device.run();
  await device.waitForEndpoint(plane);
  const first = await create("1.0.0", ["--stages", "all=100%", "--soak", "0s"]);
  await reach(first.rolloutId, "succeeded");
}, 60_000);
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

it("catches a bad version beside the one that serves, so that not one request is answered by it, then promotes a good one", async () => {
  await using load = new SteadyLoad({
    endpoint: () => device.endpoint,
    model: "digit-reader",
    digits: loadDigits("test"),
    perSecond: 60,
  });
  load.start();
  load.enter("bad");
  const bad = await create("1.2.0", [...shadowed, "--gate", "agreement>=80%"]);
  const back = await reach(bad.rolloutId, "rolled_back");
  const [verdict] = back.stages[0]?.verdicts.filter(({ gate }) => gate === "agreement") ?? [];
  expect(verdict).toMatchObject({ kind: "fail", code: "agreement_too_low", threshold: 0.8 });
  expect(verdict?.samples).toBeGreaterThanOrEqual(50);
  expect(back.stages[1]?.state).toBe("skipped");
  const detail = await plane.device("cam-1");
  expect(detail.reported?.slots[0]).toMatchObject({ active: { version: "1.0.0" }, shadow: null });
  const tally = load.tally("bad");
  expect(tally.failures, tally.reasons.join("; ")).toBe(0);
  // 1.2.0 reads 28 % right.
  expect(tally.correct / tally.requests).toBeGreaterThan(0.7);

  load.enter("good");
  const gates = ["agreement>=60%", "latency-p95-ratio<=100", "energy-ratio<=100", "confidence>=0.6"];
  const good = await create("1.1.0", [
    ...shadowed,
    "--manual",
    ...gates.flatMap((gate) => ["--gate", `beside:${gate}`]),
  ]);
  const asked = await reach(good.rolloutId, "paused");
  expect(asked).toMatchObject({ pauseReason: "approval", devices: [{ device: "cam-1", state: "shadowing" }] });
  const verdicts = asked.stages[0]?.verdicts ?? [];
  expect(verdicts.map(({ gate, kind }) => `${gate} ${kind}`)).toEqual([
    ...["health pass", "soak pass", "agreement pass", "latency/control/p95 pass", "energy/control pass"],
    "confidence/absolute pass",
  ]);
  for (const { gate, control } of verdicts) if (gate.includes("control")) expect(control, gate).toBeGreaterThan(0);
  const described = await runWarmCli(["devices", "describe", "cam-1"], plane.cliEnv);
  expect(described.stdout).toMatch(/shadow digit-reader 1\.1\.0 on 100 % of requests/u);
  await eventually("a window with a comparison is described", async () =>
    /agreed on \d+ of \d+, \d+ skipped; run p95 \d/u.test(
      (await runWarmCli(["devices", "describe", "cam-1"], plane.cliEnv)).stdout,
    ),
  );
  const status = await runWarmCli(["rollouts", "status", good.rolloutId], plane.cliEnv);
  expect(status.stdout).toContain("shadow on 100% of requests");

  await runCliJson(["rollouts", "promote", good.rolloutId, "--yes"], plane.cliEnv);
  await eventually("1.1.0 serves", async () => (await plane.device("cam-1")).slots[0]?.running?.version === "1.1.0");
  const after = load.tally("good");
  expect(after.failures, after.reasons.join("; ")).toBe(0);
  expect((await plane.device("cam-1")).reported?.slots[0]).toMatchObject({
    previous: { version: "1.0.0" },
    shadow: null,
  });
}, 120_000);
