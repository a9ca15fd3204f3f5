import { ExclusiveDevice } from "./exclusive-device.ts";
import { InlineLane, InlinePlaces, maxInlineSessions } from "./inline/inline-lane.ts";
import { createProcessHomes, maxMessageBytes, type SessionHome } from "./onnxruntime-home.ts";
import type { WorkerRequest, WorkerResponse } from "./onnxruntime-messages.ts";
import { isTransferable, OnnxRuntimeModel } from "./onnxruntime-model.ts";
import { openThread, sessionEntry } from "./onnxruntime-thread.ts";
import type { InferenceRuntime, LoadedModel, LoadOptions } from "./port.ts";
import { RuntimeError } from "./runtime-error.ts";
import { hasErrorCode, toErrorMessage } from "@fairlead/kernel";

export interface OnnxRuntimeOptions {
  /** Existing folder for profiles of warm-up runs, emptied by whoever owns it; absent for the system's own. */
  readonly profileFolder?: string;
  /** Accelerators that this process is not to touch: their sessions live in processes of their own from the start. */
  readonly apart?: readonly string[];
  /** A thread that was opened before this was called: the first session here has not to wait for its own. */
  readonly firstThread?: SessionHome;
}

export interface OnnxInferenceRuntime extends InferenceRuntime {
  /** Execution providers that the library was built with; whether a device is behind one shows only when it is used. */
  listOffered(): Promise<readonly string[]>;
}

/**
 * ONNX Runtime: one thread per loaded model. An accelerator that failed once is not touched again by this process: its
 * library remembers the failure, and another session on a device that was lost aborts the process (WebGPU, 1.30.0). Later
 * sessions on it live in processes of their own.
 */
export function createOnnxRuntime(options: OnnxRuntimeOptions = {}): OnnxInferenceRuntime {
  return new OnnxRuntime(options);
}

/** What only one session of this process may use at a time: two at once on WebGPU take the process down. */
type Device = ExclusiveDevice | null;

type Loaded = Extract<WorkerResponse, { kind: "loaded" }>;

class OnnxRuntime implements OnnxInferenceRuntime {
  readonly name = "onnxruntime";
  readonly #profileFolder: string | null;
  readonly #openProcess: () => Promise<SessionHome>;
  readonly #webgpu = new ExclusiveDevice();
  readonly #places = new InlinePlaces(maxInlineSessions);
  /** Models whose sessions live in threads of this process, with the accelerators that they were given. */
  readonly #here = new Map<OnnxRuntimeModel, readonly string[]>();
  /** Accelerators that failed in this process, and those that it is not to touch. */
  readonly #failed: Set<string>;
  #firstThread: SessionHome | null;

  constructor({ profileFolder, apart = [], firstThread }: OnnxRuntimeOptions) {
    this.#firstThread = firstThread ?? null;
    if (firstThread !== undefined) firstThread.onEnd = () => (this.#firstThread = null);
    this.#profileFolder = profileFolder ?? null;
    this.#failed = new Set(apart);
    this.#openProcess = createProcessHomes(sessionEntry);
  }

  async load(model: Uint8Array<ArrayBuffer>, options: LoadOptions = {}): Promise<LoadedModel> {
    const providers = options.providers ?? ["cpu"];
    const failed = providers.find((provider) => this.#failed.has(provider));
    if (failed !== undefined) return await this.#loadApart(model, options, failed);
    if (!providers.includes("webgpu")) return await this.#loadHere(model, options, null);
    const release = await this.#webgpu.acquire();
    try {
      return await this.#loadHere(model, options, this.#webgpu);
    } finally {
      release();
    }
  }

  async listOffered(): Promise<readonly string[]> {
    const home = openThread();
    const answered = waitForLoad(home, 10_000);
    home.post({ kind: "offers" }, []);
    const answer = await answered;
    home.post({ kind: "close" }, []);
    return answer.kind === "offers" ? answer.providers : [];
  }

  async #loadHere(model: Uint8Array<ArrayBuffer>, options: LoadOptions, device: Device): Promise<LoadedModel> {
    const [wanted = "cpu"] = options.providers ?? ["cpu"];
    const home = this.#firstThread ?? openThread();
    this.#firstThread = null;
    try {
      const loaded = await this.#load(home, model, { ...options, device });
      if (loaded.placement.failedProvider !== undefined) this.#failed.add(loaded.placement.failedProvider);
      return loaded;
    } catch (error) {
      if (hasErrorCode(error, "accelerator_failed")) this.#failed.add(wanted);
      throw error;
    }
  }

  /** In a process of its own; the cpu, which has not failed, stands in here. */
  async #loadApart(model: Uint8Array<ArrayBuffer>, options: LoadOptions, failed: string): Promise<LoadedModel> {
    try {
      if (model.byteLength > maxMessageBytes)
        throw new RuntimeError(
          "accelerator_failed",
          `${failed} failed, and the model is too large for another process`,
        );
      return await this.#load(await this.#openProcess(), model, { ...options, standIn: false, device: null });
    } catch (error) {
      const providers = options.providers ?? ["cpu"];
      const mayStandIn = providers.includes("cpu") && options.standIn !== false;
      if (!mayStandIn || (!hasErrorCode(error, "accelerator_failed") && !hasErrorCode(error, "runtime_crashed")))
        throw error;
      const loaded = await this.#loadHere(model, { ...options, providers: ["cpu"] }, null);
      const proof = `the cpu stands in: ${toErrorMessage(error)}`.slice(0, 500);
      const placement = { ...loaded.placement, requestedProviders: [...providers], proof, failedProvider: failed };
      return withPlacement(loaded, placement);
    }
  }

  async #load(
    home: SessionHome,
    model: Uint8Array<ArrayBuffer>,
    options: LoadOptions & { readonly device: Device },
  ): Promise<OnnxRuntimeModel> {
    const providers = options.providers ?? ["cpu"];
    const request: WorkerRequest = {
      kind: "load",
      model,
      providers,
      threads: options.threads ?? 1,
      background: options.background ?? false,
      standIn: options.standIn ?? true,
      profileFolder: this.#profileFolder,
    };
    const answered = waitForLoad(home, options.loadDeadlineMs ?? 60_000);
    home.post(request, isTransferable(model.buffer) ? [model.buffer] : []);
    const loaded = await answered;
    if (loaded.kind === "loaded") {
      const accelerators = providers.filter((provider) => provider !== "cpu");
      const placed = loaded.placement.failedProvider === undefined ? accelerators : [];
      const opened: OnnxRuntimeModel = new OnnxRuntimeModel({
        ...{ home, loaded, device: options.device, inline: this.#toLane(home, loaded, options) },
        onEnd: () => void this.#here.delete(opened),
        onLost: (reason) => {
          options.onPlacement?.({ kind: "lost", reason });
          this.#loseHere(opened, reason);
        },
      });
      if (home.kind === "thread" && placed.length > 0) this.#here.set(opened, placed);
      return opened;
    }
    home.post({ kind: "close" }, []);
    if (loaded.kind === "load-failed") throw new RuntimeError(loaded.code, loaded.message);
    throw new RuntimeError("runtime_crashed", `the thread answered ${loaded.kind} to a load`);
  }

  /** Only what runs on the cpu at ordinary priority has a place on the thread of its callers. */
  #toLane(home: SessionHome, { outputs }: Loaded, options: LoadOptions): InlineLane | null {
    const { again, providers = ["cpu"], threads = 1, background = false } = options;
    if (again === undefined || home.kind !== "thread" || background || providers.join() !== "cpu") return null;
    const callGuard = (runs: SharedArrayBuffer, limitMs: number) => home.post({ kind: "guard", runs, limitMs }, []);
    return new InlineLane({ ...{ outputs, again, callGuard, places: this.#places }, settings: { providers, threads } });
  }

  /** Sessions of one process share its device: what one of them saw, the others need no failed run to see. */
  #loseHere(model: OnnxRuntimeModel, reason: string): void {
    const accelerators = this.#here.get(model) ?? [];
    for (const accelerator of accelerators) this.#failed.add(accelerator);
    for (const [other, placed] of this.#here) {
      if (other !== model && placed.some((accelerator) => accelerators.includes(accelerator))) other.lose(reason);
    }
  }
}

function withPlacement(model: LoadedModel, placement: LoadedModel["placement"]): LoadedModel {
  return {
    inputs: model.inputs,
    outputs: model.outputs,
    placement,
    get pending() {
      return model.pending;
    },
    infer: (inputs, options) => model.infer(inputs, options),
    close: () => model.close(),
  };
}

function waitForLoad(home: SessionHome, deadlineMs: number): Promise<WorkerResponse> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      settle();
      home.end();
      const late = `loading took longer than ${deadlineMs} ms`;
      // A process is gone with its load; a thread stays inside the runtime for ever.
      const code = home.kind === "process" ? "accelerator_failed" : "inference_deadline";
      reject(new RuntimeError(code, late));
    }, deadlineMs);
    const settle = () => {
      clearTimeout(timer);
      home.onMessage = () => undefined;
      home.onEnd = () => undefined;
    };
    home.onMessage = (response) => {
      settle();
      resolve(response);
    };
    home.onEnd = (cause) => {
      settle();
      reject(new RuntimeError("runtime_crashed", `the ${home.kind} ended while it loaded the model`, cause));
    };
  });
}
