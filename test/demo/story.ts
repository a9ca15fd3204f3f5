import { writeFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Remediation, RolloutStatus } from "@fairlead/protocol";
import type { TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import type { Claims } from "./claims.ts";
import { versions, type DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

export interface HealTimes {
  readonly device: string;
  readonly detectedMs: number;
  readonly quarantinedMs: number;
  readonly healedMs: number;
}

const reader = ["--selector", "site in (berlin,porto)"];
/** Whoever overwrites a model file has this long before the device is whole again. */
const healedWithinMs = 60_000;
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The first version: nothing runs yet, so one stage and gates that need no comparison. */
export async function installEverywhere(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter("1.0.0 everywhere");
  await fleet.push(versions[0]);
  const rollout = await fleet.rollOut([
    ...[...reader, "--version", "1.0.0", "--stages", "all=100%", "--soak", "1s", "--device-soak", "1s"],
    ...["--gate", "self-test>=1"],
  ]);
  claims.check("1.0.0 is installed on all six devices", rollout.state === "succeeded");
  await fleet.startLoad(40);
  await waitForPhase(fleet, "1.0.0", 6_000);
}

/** Canary → half → all, each step against devices that still run 1.0.0. */
export async function promoteBetter(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter("1.1.0: canary → 50 % → all, promoted by its gates");
  await fleet.push(versions[1]);
  fleet.enter("1.1.0 rollout");
  const rollout = await fleet.rollOut([
    ...[...reader, "--version", "1.1.0", "--control", "role=control"],
    ...["--stages", "canary=role=canary,half=50%,all=100%", "--soak", "3s", "--device-soak", "2s"],
    ...[
      "--gate",
      "self-test>=1",
      "--gate",
      "errors<=0.01",
      "--gate",
      "confidence>=0.6",
      "--gate",
      "canary,half:confidence-drop<=0.1",
    ],
    ...["--gate", "canary,half:latency-p95-ratio<=20"],
  ]);
  claims.check(
    "1.1.0 passed its gates in three stages",
    rollout.state === "succeeded" && rollout.stages.every((stage) => stage.state === "passed"),
  );
  claims.check(
    "every stage of 1.1.0 was judged on live requests",
    rollout.stages.every((stage) => stage.verdicts.some((verdict) => (verdict.samples ?? 0) >= 50)),
  );
  await waitForPhase(fleet, "1.1.0", 6_000);
}

/** A release that installs perfectly and is wrong. */
export async function stopBad(fleet: DemoFleet, claims: Claims): Promise<RolloutStatus> {
  narrator.chapter("1.2.0: installs without an error, and is wrong");
  await fleet.push(versions[2]);
  fleet.enter("1.2.0 rollout");
  const rollout = await fleet.rollOut([
    ...[...reader, "--version", "1.2.0", "--control", "role=control"],
    ...["--stages", "canary=role=canary,half=50%,all=100%", "--soak", "10s", "--device-soak", "2s"],
    ...[
      "--gate",
      "self-test>=1",
      "--gate",
      "errors<=0.01",
      "--gate",
      "confidence>=0.6",
      "--gate",
      "canary,half:confidence-drop<=0.1",
    ],
  ]);
  const [canary, ...later] = rollout.stages;
  const failed = canary?.verdicts.find((verdict) => verdict.kind === "fail");
  if (failed !== undefined) narrator.say(`stopped by ${failed.gate}: ${failed.why}`);
  claims.check(
    "1.2.0 was stopped in its first stage by the confidence gate",
    canary?.state === "failed" && failed?.gate.startsWith("confidence") === true,
  );
  claims.check(
    "no later stage of 1.2.0 began",
    later.every((stage) => stage.state === "scheduled" || stage.state === "skipped"),
  );
  const devices = await eventually("all devices run 1.1.0 again", async () => {
    const all = await fleet.plane.devices();
    return all.every((device) => device.slots.some((slot) => slot.running?.version === "1.1.0" && slot.serving)) && all;
  });
  claims.check(
    "all touched devices are back on 1.1.0",
    rollout.state === "rolled_back" && devices.length === fleet.devices.length,
  );
  await waitForPhase(fleet, "after rollback", 5_000);
  return rollout;
}

/** Somebody writes over a model file. */
export async function healTampered(fleet: DemoFleet, claims: Claims): Promise<HealTimes> {
  const victim = fleet.devices.find((device) => device.name === "porto-2") as TestDevice;
  narrator.chapter(`a model file on ${victim.name} is overwritten`);
  fleet.enter("tampered");
  const file = findModelFile(
    victim.dataDir,
    (await fleet.plane.device(victim.name)).slots[0]?.running?.buildDigest ?? "",
  );
  const size = statSync(file).size;
  const startedAt = performance.now();
  writeFileSync(file, Buffer.alloc(size, 0x41));
  const elapsed = () => Math.round(performance.now() - startedAt);

  let detectedMs: number | undefined;
  let quarantinedMs: number | undefined;
  const ask = async () => {
    const device = await fleet.plane.device(victim.name);
    const serving = device.slots[0]?.serving === true;
    narrator.live.show(`${device.lifecycle}, integrity ${device.integrity}, ${serving ? "serving" : "not serving"}`);
    return { ...device, isServing: serving };
  };
  await eventually(
    "the plane quarantines the device",
    async () => {
      const device = await ask();
      if (device.integrity === "failed") detectedMs ??= elapsed();
      if (device.lifecycle === "quarantined") quarantinedMs ??= elapsed();
      return quarantinedMs !== undefined;
    },
    healedWithinMs,
  );
  await eventually(
    "the device is healed",
    async () => {
      const { integrity, isServing, lifecycle } = await ask();
      return lifecycle === "enrolled" && integrity === "verified" && isServing;
    },
    healedWithinMs,
  );
  const healedMs = elapsed();
  narrator.live.done();
  const cases = await fleet.plane.get<{ items: Remediation[] }>("/api/v1/remediations");
  const remediation = cases.items.find((item) => item.device === victim.name && item.symptom === "integrity-failed");
  await fleet
    .cli(["remediations", "list"])
    .then((answer) => process.stdout.write(answer.stdout.replace(/^/gmu, "    ")));
  claims.check("the overwritten file was detected and the device quarantined", quarantinedMs !== undefined);
  claims.check("the artifact was fetched again, verified and the device released", remediation?.state === "resolved");
  claims.check("from the overwritten byte to a healed device it took less than a minute", healedMs <= healedWithinMs);
  await waitForPhase(fleet, "healed", 5_000);
  return {
    device: victim.name,
    detectedMs: detectedMs ?? quarantinedMs ?? healedMs,
    quarantinedMs: quarantinedMs ?? healedMs,
    healedMs,
  };
}

async function waitForPhase(fleet: DemoFleet, phase: string, ms: number): Promise<void> {
  for (const device of fleet.devices) await device.waitForEndpoint(fleet.plane);
  fleet.enter(phase);
  narrator.say(`measuring "${phase}" for ${ms / 1_000} s`);
  await wait(ms);
}

function findModelFile(dir: string, digest: string): string {
  const hex = digest.replace("sha256:", "");
  const found = readdirSync(dir, { recursive: true, encoding: "utf8" }).find(
    (path) => path.includes(hex.slice(8)) && statSync(join(dir, path)).isFile(),
  );
  if (found === undefined) throw new Error(`no file for ${digest} below ${dir}`);
  return join(dir, found);
}
