import { checkInputs } from "../check-inputs.ts";
import type { InferOptions, InferResult, LoadedModel, Placement } from "../port.ts";
import { RuntimeError } from "../runtime-error.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import type { ModelEdge } from "./server-model.ts";
import { SidecarHttpError } from "./sidecar-http.ts";

export interface SidecarModelParts {
  readonly runtime: string;
  readonly edge: ModelEdge;
  readonly placement: Placement;
  /** One run on the server. Rejects with SidecarHttpError or RuntimeError. */
  readonly run: (inputs: readonly Tensor[], timeoutMs: number) => Promise<readonly Tensor[]>;
  /** A run passed its deadline: its server has to go. */
  readonly onHung: (deadlineMs: number) => void;
  readonly onGarbled: () => void;
  readonly onClosed: () => Promise<void>;
}

interface Run {
  readonly inputs: readonly Tensor[];
  readonly options: InferOptions;
  readonly resolve: (result: InferResult) => void;
  readonly reject: (error: RuntimeError) => void;
}

/** Smaller memory is cheaper to allocate than to hand back. */
const minReleasedBytes = 65_536;

/**
 * A model on a server: one run at a time, in order. It outlives its server: `down` while that starts again, `hung` from a
 * run past its deadline until then, `open` when the model is loaded again.
 */
export class SidecarModel implements LoadedModel {
  readonly recovers = true;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly #parts: SidecarModelParts;
  readonly #queue: Run[] = [];
  #placement: Placement;
  #active = false;
  #closing = false;
  #state: "open" | "down" | "hung" | "closed" = "open";
  #downReason = "it starts again";
  #onIdle: (() => void)[] = [];

  constructor(parts: SidecarModelParts) {
    this.#parts = parts;
    this.inputs = parts.edge.inputs;
    this.outputs = parts.edge.outputs;
    this.#placement = parts.placement;
  }

  get placement(): Placement {
    return this.#placement;
  }

  get pending(): number {
    return this.#queue.length + (this.#active ? 1 : 0);
  }

  infer(inputs: readonly Tensor[], options: InferOptions): Promise<InferResult> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal();
      if (refusal !== null) throw refusal;
      checkInputs("this model", this.inputs, inputs);
      this.#queue.push({ inputs, options, resolve, reject });
      void this.#work();
    });
  }

  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#closing = true;
    if (this.pending > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    if (this.#isClosed()) return;
    this.#state = "closed";
    await this.#parts.onClosed();
  }

  /** Two callers may have waited for the same last run. */
  #isClosed(): boolean {
    return this.#state === "closed";
  }

  /** The server is gone, or has not got the model back. */
  goDown(reason: string): void {
    this.#downReason = reason;
    if (this.#state === "open") this.#state = "down";
    this.#refuseAll(() => this.#crashed());
  }

  /** The server has the model again. */
  comeUp(placement: Placement): void {
    if (this.#state === "closed") return;
    this.#placement = placement;
    this.#state = "open";
  }

  #refusal(): RuntimeError | null {
    if (this.#closing || this.#state === "closed") return new RuntimeError("model_closed", "the model is closed");
    if (this.#state === "hung") return new RuntimeError("model_hung", "an earlier run passed its deadline");
    return this.#state === "down" ? this.#crashed() : null;
  }

  #crashed(cause?: unknown): RuntimeError {
    const message = `the server of runtime '${this.#parts.runtime}' does not have the model: ${this.#downReason}`;
    return new RuntimeError("runtime_crashed", message, cause);
  }

  #refuseAll(toError: () => RuntimeError): void {
    for (const run of this.#queue.splice(0)) run.reject(toError());
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.pending > 0) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  async #work(): Promise<void> {
    if (this.#active) return;
    const run = this.#queue.shift();
    if (run === undefined) return;
    this.#active = true;
    const startedMs = performance.now();
    try {
      const outputs = await this.#parts.run(run.inputs, run.options.deadlineMs);
      this.#active = false;
      release(run);
      run.resolve({ outputs, runUs: (performance.now() - startedMs) * 1_000 });
    } catch (error) {
      this.#active = false;
      this.#fail(run, error);
    }
    this.#checkIdle();
    void this.#work();
  }

  #fail(run: Run, error: unknown): void {
    if (!(error instanceof SidecarHttpError)) {
      release(run);
      run.reject(error instanceof RuntimeError ? error : new RuntimeError("inference_failed", String(error), error));
      return;
    }
    switch (error.kind) {
      case "late": {
        const { deadlineMs } = run.options;
        this.#state = this.#state === "closed" ? "closed" : "hung";
        run.reject(new RuntimeError("inference_deadline", `the run took longer than ${deadlineMs} ms`, error));
        this.#refuseAll(() => new RuntimeError("model_hung", "an earlier run passed its deadline"));
        this.#parts.onHung(deadlineMs);
        return;
      }
      case "lost":
        run.reject(new RuntimeError("runtime_crashed", `the server ended during the run: ${error.message}`, error));
        return;
      case "garbled":
        release(run);
        run.reject(new RuntimeError("inference_failed", `the server's answer cannot be used: ${error.message}`, error));
        this.#parts.onGarbled();
    }
  }
}

/** The request was sent whole, so its memory is read no more. */
function release({ inputs, options }: Run): void {
  if (options.onReleased === undefined) return;
  const buffers = new Set(inputs.map(({ data }) => data.buffer));
  for (const buffer of buffers) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= minReleasedBytes) options.onReleased(buffer);
  }
}
