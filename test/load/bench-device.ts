import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader, type DigitVersion } from "../support/publish.ts";

/** A plane and one agent, built as it is distributed unless the source is asked for; for what can only be measured on the whole of it. */
export class BenchDevice implements AsyncDisposable {
  readonly plane: TestPlane;
  readonly device: TestDevice;
  readonly #dir: string;

  private constructor(dir: string, plane: TestPlane, device: TestDevice) {
    this.#dir = dir;
    this.plane = plane;
    this.device = device;
  }

  static async start(telemetryWindowMs: number, built = true): Promise<BenchDevice> {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
    const plane = await new TestPlane({ dir: join(dir, "plane") }).start();
    const name = "bench-1";
    const device = new TestDevice({ name, dir: join(dir, name), labels: {}, telemetryWindowMs, built });
    await device.enrol(plane, await createEnrolmentToken(plane, 1));
    device.run();
    await eventually("the device is online", async () => (await plane.device(name)).online);
    return new BenchDevice(dir, plane, device);
  }

  /** Publishes the version, rolls it out and waits until it serves. */
  async install(version: DigitVersion): Promise<void> {
    await publishDigitReader(this.plane, version);
    await this.rollOut(version);
  }

  async rollOut(version: DigitVersion): Promise<void> {
    const target = ["--model", "digit-reader", "--version", version, "--slot", "reader", "--all-devices"];
    const policy = ["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s"];
    await runCliJson(["rollouts", "create", ...target, ...policy], this.plane.cliEnv);
    await eventually(
      `${version} serves`,
      async () => {
        const [slot] = (await this.plane.device(this.device.name)).slots;
        return slot?.serving === true && slot.running?.version === version;
      },
      60_000,
    );
    await this.device.waitForEndpoint(this.plane);
  }

  /** Starts the agent anew: what it remembered of its serving process's ends is gone with it. */
  async startAgain(model: string): Promise<void> {
    await this.device[Symbol.asyncDispose]();
    this.device.run();
    await eventually(`${model} answers again`, async () => {
      const endpoint = await this.device.waitForEndpoint(this.plane);
      const answer = await fetch(`${endpoint}/v2/models/${model}/ready`).catch(() => null);
      return answer?.ok === true;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.device[Symbol.asyncDispose]();
    await this.plane[Symbol.asyncDispose]();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
