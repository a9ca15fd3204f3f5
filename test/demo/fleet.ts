import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { runCli, runCliJson, type CliAnswer } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { digitModelPath, loadDigits } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { SteadyLoad } from "../support/load.ts";
import { createSecondPerson } from "../support/second-person.ts";
import { TestPlane } from "../support/plane.ts";
import { configureBatch } from "./batch.ts";
import { narrator } from "./narrator.ts";
import { configureLane, laneDevice, laneEnvironment } from "./placement.ts";

/** Two sites; three devices carry a role in the rollouts, one has an accelerator, the other two are ordinary. */
const members: readonly { name: string; labels: Record<string, string> }[] = [
  { name: "berlin-1", labels: { site: "berlin", role: "canary" } },
  { name: "berlin-2", labels: { site: "berlin" } },
  { name: "berlin-3", labels: { site: "berlin", role: "control" } },
  { name: "porto-1", labels: { site: "porto", role: "canary" } },
  { name: "porto-2", labels: { site: "porto" } },
  { name: "porto-3", labels: { site: "porto", role: "lab" } },
];

export const versions = [
  { version: "1.0.0", file: "digit-reader-1.0.0-int8.onnx" },
  { version: "1.1.0", file: "digit-reader-1.1.0-int8.onnx" },
  { version: "1.2.0", file: "digit-reader-1.2.0-int8-miscalibrated.onnx" },
] as const;

export class DemoFleet implements AsyncDisposable {
  readonly plane: TestPlane;
  readonly devices: readonly TestDevice[];
  readonly loads = new Map<string, SteadyLoad>();
  /** Every phase that requests were counted in, in the order of the story. */
  readonly phases: string[] = [];

  constructor(dir: string) {
    this.plane = new TestPlane({ dir: join(dir, "plane") });
    this.devices = members.map(
      (member) =>
        new TestDevice({
          ...{ ...member, dir: join(dir, member.name), telemetryWindowMs: 1_000 },
          env: member.name === laneDevice ? laneEnvironment : {},
        }),
    );
  }

  async start(): Promise<void> {
    await this.plane.start();
    narrator.say(`control plane at ${this.plane.url} (process ${this.plane.process.pid})`);
    const token = await createEnrolmentToken(this.plane, this.devices.length);
    narrator.command(["enrolments", "create-token", "--uses", String(this.devices.length), "--auto-approve"]);
    // Two at a time: a laptop with two cores should still answer while six agents make their keys.
    for (let index = 0; index < this.devices.length; index += 2) {
      await Promise.all(this.devices.slice(index, index + 2).map((device) => device.enrol(this.plane, token)));
    }
    configureBatch(this.devices);
    configureLane(this.devices);
    for (const device of this.devices) device.run();
    await eventually(
      "all agents are online",
      async () => {
        const online = (await this.plane.devices()).filter((device) => device.online).length;
        narrator.live.show(`${online} of ${this.devices.length} agents online`);
        return online === this.devices.length;
      },
      60_000,
    );
    narrator.live.done();
  }

  /** Runs a command of the real CLI and shows it. */
  async cli(args: readonly string[]): Promise<CliAnswer> {
    narrator.command(args);
    return runCli(args, this.plane.cliEnv);
  }

  /** A second person, with a token of another role, lets a version run again that failed in a rollout. */
  async acceptKnownBad(version: string, reason: string): Promise<void> {
    const env = await createSecondPerson(this.plane.cliEnv);
    const accept = ["releases", "accept-known-bad", "digit-reader", version, "--reason", reason];
    narrator.command([...accept, "--yes"]);
    const answer = await runCli([...accept, "--yes"], env);
    if (answer.code !== 0) throw new Error(`fairlead ${accept.join(" ")}: exit ${answer.code}\n${answer.stderr}`);
  }

  async push(version: (typeof versions)[number]): Promise<void> {
    const labels = "0,1,2,3,4,5,6,7,8,9";
    const golden = digitModelPath(`golden-${version.version}.json`);
    const push = [
      "models",
      "push",
      digitModelPath(version.file),
      "--model",
      "digit-reader",
      "--version",
      version.version,
    ];
    const pushed = await this.cli([...push, "--golden", golden, "--classification", `probabilities:${labels}`]);
    if (pushed.code !== 0) throw new Error(`push: ${pushed.stderr}`);
    const signed = await this.cli(["releases", "sign", "digit-reader", version.version]);
    if (signed.code !== 0) throw new Error(`sign: ${signed.stderr}`);
  }

  /** Creates a rollout and follows it, line by line, to its end. */
  async rollOut(args: readonly string[], timeoutMs = 120_000): Promise<RolloutStatus> {
    const create = [
      "rollouts",
      "create",
      ...(args.includes("--model") ? [] : ["--model", "digit-reader", "--slot", "reader"]),
      ...args,
    ];
    narrator.command(create);
    const { rolloutId } = await runCliJson<RolloutStatus>(create, this.plane.cliEnv);
    const ended = await eventually(
      `rollout ${rolloutId} ends`,
      async () => {
        const status = await this.plane.rollout(rolloutId);
        narrator.live.show(toLine(status));
        return ["succeeded", "failed", "rolled_back", "rollback_failed", "canceled"].includes(status.state) && status;
      },
      timeoutMs,
    );
    narrator.live.done();
    return ended;
  }

  async startLoad(perSecond: number): Promise<void> {
    const digits = loadDigits("test");
    for (const device of this.devices) {
      await device.waitForEndpoint(this.plane);
      const load = new SteadyLoad({ endpoint: () => device.endpoint, model: "digit-reader", digits, perSecond });
      this.loads.set(device.name, load);
      load.enter("warm-up");
      load.start();
    }
    this.phases.push("warm-up");
  }

  enter(phase: string): void {
    this.phases.push(phase);
    for (const load of this.loads.values()) load.enter(phase);
  }

  async stopLoad(): Promise<void> {
    for (const load of this.loads.values()) await load[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopLoad();
    await Promise.all(this.devices.map((device) => device[Symbol.asyncDispose]()));
    await this.plane[Symbol.asyncDispose]();
  }
}

function toLine(status: RolloutStatus): string {
  const stages = status.stages.map((stage) => {
    const { succeeded, planned } = stage.counts;
    const gates = stage.verdicts
      .filter((verdict) => verdict.value !== null && stage.state === "soaking")
      .map(
        (verdict) => `${verdict.gate} ${verdict.value?.toFixed(3)} of ${verdict.threshold?.toFixed(3)} ${verdict.kind}`,
      );
    return `${stage.name} ${stage.state} ${succeeded}/${planned}${gates.length > 0 ? ` (${gates.join(", ")})` : ""}`;
  });
  return `${status.state}: ${stages.join(" → ")}`;
}
