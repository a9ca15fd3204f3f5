import { fork, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { servingFlags } from "@fairlead/agent/serving-flags";

type Message =
  | { id: number; ok: boolean; result?: unknown; error?: unknown }
  | { event: { kind: string; address?: { port: number } } };

/** The agent's serving process on its own, driven over its real message channel. */
export class ServingProcess implements AsyncDisposable {
  readonly #dir = mkdtempSync(join(tmpdir(), "fairlead-serving-"));
  readonly #waiting = new Map<number, (message: Message) => void>();
  #child: ChildProcess | undefined;
  #id = 0;
  port = 0;

  async start(parts: { readonly lanes?: number; readonly sharedMemory?: boolean } = {}): Promise<this> {
    const address = { kind: "tcp", host: "127.0.0.1", port: 0 };
    const config = { address, inflightPath: join(this.#dir, "inflight"), ...parts };
    const child = fork(new URL("../../apps/agent/src/serve/main.ts", import.meta.url), [JSON.stringify(config)], {
      serialization: "advanced",
      execArgv: [...servingFlags],
    });
    this.#child = child;
    this.port = await new Promise<number>((resolve, reject) => {
      child.once("exit", (code) => reject(new Error(`the serving process ended with ${code}`)));
      child.on("message", (message: Message) => {
        if ("event" in message) {
          if (message.event.kind === "ready") resolve(message.event.address?.port ?? 0);
        } else this.#waiting.get(message.id)?.(message);
      });
    });
    return this;
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  async request(request: Record<string, unknown>): Promise<unknown> {
    this.#id += 1;
    const id = this.#id;
    const answer = await new Promise<Message>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child?.send({ id, request });
    });
    this.#waiting.delete(id);
    if (!("ok" in answer) || !answer.ok)
      throw new Error(`${String(request["kind"])} failed: ${JSON.stringify(answer)}`);
    return answer.result;
  }

  /** Loads the bytes as a model of that name and lets it answer; gives the path of the file. */
  async serve(model: string, bytes: Uint8Array, scheduling: object = {}): Promise<string> {
    const path = join(this.#dir, `${model}.onnx`);
    writeFileSync(path, bytes);
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    await this.request({
      ...{ kind: "load", loadId: model, slot: model, path, digest, sizeBytes: bytes.length, model, version: "1.0.0" },
      ...{ classification: null, threads: 1, deadlineMs: 30_000, scheduling },
    });
    await this.request({ kind: "activate", slot: model, loadId: model });
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
