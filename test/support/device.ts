import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { runCliJson } from "./cli.ts";
import { entries, toEntry } from "./entries.ts";
import { eventually } from "./eventually.ts";
import type { TestPlane } from "./plane.ts";
import { OwnedProcess } from "./process.ts";

export interface DeviceOptions {
  readonly name: string;
  readonly dir: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Where the agent keeps its data; default `<dir>/data`. */
  readonly dataDir?: string;
  readonly telemetryWindowMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs the bundle of `npm run build`, wherever this is. */
  readonly built?: boolean;
}

/** A real agent (supervisor and serving process) with a data folder of its own. */
export class TestDevice implements AsyncDisposable {
  readonly name: string;
  readonly dir: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly #options: DeviceOptions;
  #process: OwnedProcess | undefined;
  #endpoint = "";

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.name = options.name;
    this.dir = options.dir;
    this.labels = options.labels;
  }

  get dataDir(): string {
    return this.#options.dataDir ?? join(this.dir, "data");
  }

  async enrol(plane: TestPlane, token: string): Promise<void> {
    mkdirSync(this.dir, { recursive: true });
    await using enrolment = new OwnedProcess({
      name: `${this.name} enrol`,
      entry: toEntry("agent"),
      args: [
        "enrol",
        ...["--server", plane.url, "--token", token, "--device", this.name, "--data", this.dataDir],
        ...Object.entries(this.labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]),
      ],
      env: this.#options.env ?? {},
      logFile: join(this.dir, "enrol.log"),
    });
    const code = await enrolment.exited();
    if (code !== 0) throw new Error(`${this.name} cannot enrol (${code}): ${enrolment.output}`);
  }

  run(): this {
    this.#process = new OwnedProcess({
      name: this.name,
      entry: this.#options.built === true ? entries.built.agent : toEntry("agent"),
      args: ["run", "--data", this.dataDir],
      env: {
        ...this.#options.env,
        FAIRLEAD_AGENT_TELEMETRY_WINDOW_MS: String(this.#options.telemetryWindowMs ?? 1_000),
        FAIRLEAD_AGENT_INFERENCE_PORT: "0",
      },
      logFile: join(this.dir, "agent.log"),
    });
    return this;
  }

  get process(): OwnedProcess {
    if (this.#process === undefined) throw new Error(`${this.name} is not started`);
    return this.#process;
  }

  /** Where the device answers inference now; known once the plane has heard of it. */
  get endpoint(): string {
    return this.#endpoint;
  }

  async waitForEndpoint(plane: TestPlane): Promise<string> {
    this.#endpoint = await eventually(`${this.name} reports its endpoint`, async () => {
      const endpoint = (await plane.device(this.name)).reported?.inferenceEndpoint;
      return endpoint ?? undefined;
    });
    return this.#endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
  }
}

/** A token that enrols the stated number of devices without asking an operator. */
export async function createEnrolmentToken(plane: TestPlane, uses: number): Promise<string> {
  const answer = await runCliJson<{ token: string }>(
    ["enrolments", "create-token", "--uses", String(uses), "--auto-approve"],
    plane.cliEnv,
  );
  return answer.token;
}
