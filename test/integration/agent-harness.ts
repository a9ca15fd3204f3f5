import type { DesiredSlot, ModelVersion, SlotReport } from "@fairlead/protocol";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request, Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toEntry } from "../support/entries.ts";
import { digitModelPath, loadDigits, toInferRequest, toPrediction } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { OwnedProcess } from "../support/process.ts";
import type { MiniPlane } from "./mini-plane.ts";

export const device = "cam-1";
const entry = toEntry("agent");
const digits = loadDigits("test");

export function toContent(
  plane: MiniPlane,
  version: string,
  { model, golden }: { readonly model: string; readonly golden: string },
): ModelVersion {
  const tensor = (name: string, shape: number[]) => ({ name, elementType: "float32", shape });
  return {
    model: "digit-reader",
    version,
    description: "",
    classification: { output: "probabilities", labels: "0,1,2,3,4,5,6,7,8,9".split(",") },
    builds: [
      {
        artifact: plane.addArtifact(readFileSync(digitModelPath(model))),
        format: "onnx",
        precision: "int8",
        quantization: "qdq",
        target: { executionProviders: ["cpu"] },
        inputs: [tensor("image", [1, 1, 8, 8])],
        outputs: [tensor("probabilities", [1, 10])],
      },
    ],
    selfTest: { golden: plane.addArtifact(readFileSync(digitModelPath(golden))), latencyP95Ms: null, repeats: 5 },
  };
}

/** A digit reader as one slot's desired entry. */
export function toSlot(plane: MiniPlane, version: "1.0.0" | "1.1.0", rest: Partial<DesiredSlot> = {}): DesiredSlot {
  const content = toContent(plane, version, {
    model: `digit-reader-${version}-int8.onnx`,
    golden: `golden-${version}.json`,
  });
  return { slot: "reader", release: plane.sign(content), rolloutId: null, attempt: 1, soakMs: 500, ...rest };
}

type Sizes = readonly (number | string)[];
const toTensor = (name: string, elementType: string, sizes: Sizes) => ({ name, elementType, shape: [...sizes] });

export interface ModelSlotOptions {
  readonly slot: string;
  /** The served name; "digit-reader" where it is to take the reader's place. */
  readonly model: string;
  readonly version?: string;
  readonly inputs: readonly (readonly [name: string, elementType: string, sizes: Sizes])[];
  readonly outputs: readonly (readonly [name: string, elementType: string, sizes: Sizes])[];
  readonly golden?: unknown;
  readonly soakMs?: number;
}

/** Any model as one slot's desired entry. */
export function toModelSlot(plane: MiniPlane, bytes: Uint8Array, options: ModelSlotOptions): DesiredSlot {
  const { slot, model, version = "9.0.0", inputs, outputs, golden = null, soakMs = 60_000 } = options;
  const base = toContent(plane, version, { model: "digit-reader-1.1.0-int8.onnx", golden: "golden-1.1.0.json" });
  const builds = base.builds.map((build) => ({
    ...build,
    artifact: plane.addArtifact(Buffer.from(bytes)),
    inputs: inputs.map((input) => toTensor(...input)),
    outputs: outputs.map((output) => toTensor(...output)),
  }));
  const cases = golden === null ? null : plane.addArtifact(Buffer.from(JSON.stringify(golden)));
  const content: ModelVersion = {
    ...{ ...base, model, classification: null, builds },
    selfTest: { golden: cases, latencyP95Ms: null, repeats: 1 },
  };
  return { slot, release: plane.sign(content), rolloutId: null, attempt: 1, soakMs };
}

/** A real agent, both processes, in a folder of its own. */
export class AgentHarness implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "agent-"));
  readonly data = join(this.folder, "data");
  readonly plane: MiniPlane;
  #process: OwnedProcess | undefined;
  readonly #http = new Agent({ keepAlive: true, maxSockets: 4 });

  constructor(plane: MiniPlane) {
    this.plane = plane;
  }

  async command(...args: string[]): Promise<{ code: number | string; output: string }> {
    await using child = new OwnedProcess({ name: args[0] ?? "", entry, args: [...args, "--data", this.data] });
    const code = await child.exited();
    return { code, output: child.output };
  }

  async enrol(token = this.plane.token): Promise<{ code: number | string; output: string }> {
    return this.command("enrol", "--server", this.plane.url, "--token", token, "--device", device, "--label", "site=a");
  }

  run(env: Readonly<Record<string, string>> = {}): this {
    this.#process = new OwnedProcess({
      name: device,
      entry,
      args: ["run", "--data", this.data],
      env: { FAIRLEAD_AGENT_TELEMETRY_WINDOW_MS: "500", FAIRLEAD_AGENT_INFERENCE_PORT: "0", ...env },
      logFile: join(this.folder, "agent.log"),
    });
    return this;
  }

  get process(): OwnedProcess {
    if (this.#process === undefined) throw new Error("not started");
    return this.#process;
  }

  get log(): string {
    return this.process.output.slice(-6_000);
  }

  get slot(): SlotReport | undefined {
    return this.plane.reported.at(-1)?.slots.find((slot) => slot.slot === "reader");
  }

  async waitFor<Value>(what: string, ask: () => Value | undefined | false, timeoutMs = 20_000): Promise<Value> {
    try {
      return await eventually(what, ask, timeoutMs);
    } catch (error) {
      throw new Error(`${String(error)}\nreported: ${JSON.stringify(this.plane.reported.at(-1))}\n${this.log}`);
    }
  }

  waitForVersion(version: string): Promise<unknown> {
    return this.waitFor(
      `${version} is confirmed and served`,
      () => this.slot?.active?.version === version && this.slot.serving && this.slot.job?.state === "succeeded",
      40_000,
    );
  }

  get endpoint(): string {
    return readFileSync(join(this.data, "run", "endpoint"), "utf8").trim();
  }

  /** One digit by the device's endpoint: the status, and the predicted digit with a good one. */
  infer(index: number): Promise<{ status: number; right: boolean; text: string }> {
    const digit = digits[index % digits.length];
    if (digit === undefined) throw new Error("no digits");
    const { body, headers } = toInferRequest(digit);
    return new Promise((resolve, reject) => {
      const sent = request(
        `${this.endpoint}/v2/models/digit-reader/infer`,
        { method: "POST", headers: { ...headers, "content-length": body.length }, agent: this.#http, timeout: 10_000 },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => {
            const bytes = Buffer.concat(chunks);
            const status = response.statusCode ?? 0;
            const length = Number(response.headers["inference-header-content-length"] ?? 0);
            const right = status === 200 && toPrediction(bytes, length) === digit.label;
            resolve({ status, right, text: status === 200 ? "" : bytes.toString() });
          });
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** Any request to the reader, by JSON; the status. */
  async ask(inputs: readonly unknown[]): Promise<number> {
    const answer = await fetch(`${this.endpoint}/v2/models/digit-reader/infer`, {
      method: "POST",
      body: JSON.stringify({ inputs }),
      signal: AbortSignal.timeout(10_000),
    });
    await answer.arrayBuffer();
    return answer.status;
  }

  async accuracy(count = 200): Promise<number> {
    let right = 0;
    for (let index = 0; index < count; index += 1) if ((await this.infer(index)).right) right += 1;
    return right / count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
    this.#http.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
