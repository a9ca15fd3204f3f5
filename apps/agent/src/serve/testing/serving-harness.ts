import { fork, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  LoadRequest,
  ServingAddress,
  ServingConfig,
  ServingMessage,
  ServingRequest,
  ServingResponseMessage,
  ServingResults,
} from "../ipc.ts";
import type { ServingEvent } from "../serving-event.ts";

const entry = new URL("../main.ts", import.meta.url);
const digits = new URL("../../../../../test/fixtures/digits/", import.meta.url);

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Buffer;
}

export interface HttpCall {
  readonly method?: "GET" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** A real serving process with a folder of its own, ended with the test. */
export class ServingHarness implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "serving-"));
  readonly inflightPath = join(this.folder, "inflight");
  readonly events: ServingEvent[] = [];
  readonly child: ChildProcess;
  readonly exited: Promise<string>;
  #id = 0;
  readonly #waiting = new Map<number, (message: ServingResponseMessage) => void>();

  constructor(config: Partial<ServingConfig> = {}) {
    const address: ServingAddress = { kind: "tcp", host: "127.0.0.1", port: 0 };
    const files = { inflightPath: this.inflightPath, profileFolder: join(this.folder, "profiles") };
    const argument = JSON.stringify({ address, ...files, ...config });
    this.child = fork(entry, [argument], {
      serialization: "advanced",
      execArgv: [],
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    this.exited = new Promise((resolve) => this.child.on("exit", (code, signal) => resolve(signal ?? `exit ${code}`)));
    this.child.on("message", (message: ServingMessage) => {
      if ("event" in message) this.events.push(message.event);
      else this.#waiting.get(message.id)?.(message);
    });
  }

  async event<Kind extends ServingEvent["kind"]>(kind: Kind): Promise<Extract<ServingEvent, { kind: Kind }>> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const found = this.events.find((event) => event.kind === kind);
      if (found !== undefined) return found as Extract<ServingEvent, { kind: Kind }>;
      if (Date.now() > deadline) throw new Error(`no event ${kind}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  ask(request: ServingRequest): Promise<ServingResponseMessage> {
    this.#id += 1;
    const id = this.#id;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.child.send({ id, request });
    });
  }

  async must<Request extends ServingRequest>(request: Request): Promise<ServingResults[Request["kind"]]> {
    const response = await this.ask(request);
    if (!response.ok) throw new Error(`${response.error.code}: ${response.error.message}`);
    return response.result as ServingResults[Request["kind"]];
  }

  /** Writes the file and says what a load of it looks like. */
  toLoad(loadId: string, bytes: Uint8Array, rest: Partial<LoadRequest> = {}): LoadRequest {
    const file = this.write(`${loadId}.onnx`, bytes);
    return {
      kind: "load",
      loadId,
      slot: "reader",
      ...file,
      model: "digit-reader",
      version: "1.0.0",
      classification: null,
      threads: 1,
      deadlineMs: 5_000,
      ...rest,
    };
  }

  write(name: string, bytes: Uint8Array): { path: string; digest: string; sizeBytes: number } {
    const path = join(this.folder, name);
    writeFileSync(path, bytes);
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    return { path, digest, sizeBytes: bytes.length };
  }

  async serve(load: LoadRequest): Promise<void> {
    await this.must(load);
    await this.must({ kind: "activate", slot: load.slot, loadId: load.loadId });
  }

  async http(call: HttpCall): Promise<HttpAnswer> {
    const { address } = await this.event("ready");
    const where =
      address.kind === "tcp" ? { host: address.host, port: address.port } : { socketPath: address.socketPath };
    return new Promise((resolve, reject) => {
      const method = call.method ?? (call.body === undefined ? "GET" : "POST");
      const request = httpRequest({ ...where, path: call.path, method, headers: { ...call.headers } }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(chunks) }),
        );
      });
      request.on("error", reject);
      request.end(call.body);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
    rmSync(this.folder, { recursive: true });
  }
}

export const digitModel = (name: string): Buffer => readFileSync(new URL(`digit-reader-${name}.onnx`, digits));

/** The test rows of digits.csv as label and 64 pixels of 0..1. */
export function readDigits(): { label: number; pixels: number[] }[] {
  return readFileSync(new URL("digits.csv", digits), "utf8")
    .trim()
    .split("\n")
    .filter((line) => line.startsWith("test,"))
    .map((line) => line.split(",").slice(1).map(Number))
    .map(([label = 0, ...pixels]) => ({ label, pixels: pixels.map((pixel) => pixel / 16) }));
}

export const json = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString());
