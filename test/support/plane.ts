import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DeviceDetail, DeviceSummary, RolloutStatus } from "@fairlead/protocol";
import { Agent, request } from "undici";
import { toEntry } from "./entries.ts";
import { prepareWithCli } from "./cli.ts";
import { eventually } from "./eventually.ts";
import { OwnedProcess } from "./process.ts";

export interface PlaneOptions {
  readonly dir: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

interface Ready {
  readonly httpPort: number;
  readonly mqttPort: number;
  readonly pid: number;
  readonly tenant?: string;
}

/** A real control plane in a folder of its own, on ports of its own; it can be killed and started again. */
export class TestPlane implements AsyncDisposable {
  readonly dir: string;
  readonly #options: PlaneOptions;
  #process: OwnedProcess | undefined;
  #agent: Agent | undefined;
  #token = "";
  #ready: Ready | undefined;

  constructor(options: PlaneOptions) {
    this.dir = options.dir;
    this.#options = options;
  }

  /** Starts on free ports the first time and on the same ones after that, if wanted in another environment. */
  async start(env = this.#options.env ?? {}): Promise<this> {
    mkdirSync(this.dir, { recursive: true });
    const readyFile = join(this.dir, "data", "ready.json");
    rmSync(readyFile, { force: true });
    const ports = [
      "--http-port",
      String(this.#ready?.httpPort ?? 0),
      "--mqtt-port",
      String(this.#ready?.mqttPort ?? 0),
    ];
    const owned = new OwnedProcess({
      name: "plane",
      entry: toEntry("plane"),
      args: ["--data", join(this.dir, "data"), ...ports, ...(this.#options.args ?? [])],
      env,
      logFile: join(this.dir, "plane.log"),
    });
    this.#process = owned;
    this.#ready = await eventually("the plane is ready", () => {
      if (!owned.running) throw new Error(`the plane ended: ${owned.output.slice(-2_000)}`);
      return JSON.parse(readFileSync(readyFile, "utf8")) as Ready;
    });
    if (this.#token === "") {
      this.#token = await eventually(
        "the plane prints its token once",
        () => /fla_[\w-]+\.[0-9a-f]{64}/u.exec(owned.output)?.[0],
      );
      const ca = readFileSync(join(this.dir, "data", "ca.pem"), "utf8");
      this.#agent = new Agent({ connect: { ca } });
      await this.#createTrust();
    }
    return this;
  }

  get url(): string {
    return `https://localhost:${this.#ready?.httpPort}`;
  }

  get mqttUrl(): string {
    return `mqtts://localhost:${this.#ready?.mqttPort}`;
  }

  get tenant(): string {
    return this.#ready?.tenant ?? "default";
  }

  get token(): string {
    return this.#token;
  }

  get process(): OwnedProcess {
    if (this.#process === undefined) throw new Error("the plane is not started");
    return this.#process;
  }

  /** Environment for the CLI. */
  get cliEnv(): Record<string, string> {
    return {
      FAIRLEAD_SERVER: this.url,
      FAIRLEAD_TOKEN: this.#token,
      FAIRLEAD_CONFIG: join(this.dir, "cli", "config.yaml"),
      FAIRLEAD_TRUST: this.trustDir,
      FAIRLEAD_KEY_PASSPHRASE: "correct horse battery staple",
    };
  }

  /** Where the publisher of this plane works. */
  get trustDir(): string {
    return join(this.dir, "trust");
  }

  /** As an operator does once: keys, the first root, one publisher of every model; all through the command line. */
  async #createTrust(): Promise<void> {
    if (existsSync(this.trustDir)) return;
    await prepareWithCli(["trust", "create", "--publish"], this.cliEnv);
  }

  async get<Answer>(path: string): Promise<Answer> {
    const answer = await request(`${this.url}${path}`, {
      headers: { authorization: `Bearer ${this.#token}` },
      ...(this.#agent === undefined ? {} : { dispatcher: this.#agent }),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`GET ${path}: ${answer.statusCode} ${text}`);
    return JSON.parse(text) as Answer;
  }

  /** Any JSON, as the administrator; the status and what the answer holds. */
  async post(path: string, body: unknown): Promise<Record<string, unknown> & { readonly status: number }> {
    const answer = await request(`${this.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      ...(this.#agent === undefined ? {} : { dispatcher: this.#agent }),
    });
    return { ...((await answer.body.json()) as object), status: answer.statusCode };
  }

  async devices(): Promise<DeviceSummary[]> {
    return (await this.get<{ items: DeviceSummary[] }>("/api/v1/devices?limit=1000")).items;
  }

  device(name: string): Promise<DeviceDetail> {
    return this.get(`/api/v1/devices/${name}`);
  }

  rollout(id: string): Promise<RolloutStatus> {
    return this.get(`/api/v1/rollouts/${id}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
    await this.#agent?.close();
  }
}
