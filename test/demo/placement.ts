import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Placement } from "@fairlead/protocol";
import type { TestDevice } from "../support/device.ts";
import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { toSwiftShader, whyNoSwiftShader } from "../support/swiftshader.ts";
import type { Claims } from "./claims.ts";
import type { DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

export const laneDevice = "porto-3";
const lane = "lane";
const whyNone = whyNoSwiftShader();

/** Where Debian's chromium is, its Vulkan driver is an accelerator; elsewhere there is surely none. */
export const laneEnvironment: Readonly<Record<string, string>> =
  whyNone === undefined ? toSwiftShader() : { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "" };

/** One slot of one device asks for an accelerator, with the cpu behind it; its agent has to know that before it starts. */
export function configureLane(devices: readonly TestDevice[]): void {
  const device = devices.find(({ name }) => name === laneDevice);
  if (device === undefined) return;
  writeFileSync(join(device.dataDir, "config.yaml"), `slots: { ${lane}: { providers: [webgpu, cpu] } }\n`);
}

/** Where a model runs is measured: each device says which share of its nodes' time each provider had. */
export async function provePlacement(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter(`${laneDevice} is asked to run a model on its accelerator, and proves where it runs`);
  narrator.say(whyNone === undefined ? "the accelerator is SwiftShader" : `there is no accelerator: ${whyNone}`);
  const version = ["--model", "lane-reader", "--version", "1.0.0"];
  for (const args of [
    [
      ...["models", "push", digitModelPath("digit-reader-1.1.0-fp32.onnx"), ...version],
      ...["--golden", digitModelPath("golden-1.1.0.json"), "--target", "ep=webgpu+cpu"],
      ...["--classification", "probabilities:0,1,2,3,4,5,6,7,8,9"],
    ],
    ["releases", "sign", "lane-reader", "1.0.0"],
  ]) {
    const answer = await fleet.cli(args);
    if (answer.code !== 0) throw new Error(`${args.slice(0, 2).join(" ")}: ${answer.stderr}`);
  }
  fleet.enter("placement");
  const rollout = await fleet.rollOut([
    ...[...version, "--slot", lane, "--selector", "role=lab"],
    ...["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s", "--gate", "self-test>=1"],
  ]);
  const placement = await eventually("the placement is reported", async () => {
    const { reported } = await fleet.plane.device(laneDevice);
    return reported?.slots.find(({ slot }) => slot === lane)?.placement ?? undefined;
  });
  const described = await fleet.cli(["devices", "describe", laneDevice]);
  for (const line of described.stdout.split("\n").filter((text) => text.includes("node time")))
    narrator.say(line.trim());
  claims.check(
    `${laneDevice} wanted an accelerator for one slot, and says how much of the model really runs there`,
    rollout.state === "succeeded" && isTrue(placement),
  );
  const details = await Promise.all(fleet.devices.map(({ name }) => fleet.plane.device(name)));
  const proved = details.map(
    ({ reported }) => reported?.slots.find(({ slot }) => slot === "reader")?.placement?.proved,
  );
  claims.check(
    "every device proves where its model runs",
    proved.every((shares) => Object.values(shares ?? {}).reduce((sum, share) => sum + share, 0) > 0.999),
  );
}

/** On the accelerator where there is one; and where there is none the device says that, and who stands in. */
function isTrue({ proved, reason, requested }: Placement): boolean {
  if (requested.join() !== "webgpu,cpu" || proved === null) return false;
  if (whyNone === undefined) return (proved["webgpu"] ?? 0) > 0.5;
  return proved["cpu"] === 1 && (reason?.includes("the cpu stands in: webgpu failed") ?? false);
}
