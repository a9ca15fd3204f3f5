import { inspectOnnxBytes } from "@fairlead/inference/inspect";
import {
  decideAdmission,
  estimateLoadBytes,
  type DeviceScheduler,
  type InferenceRuntime,
  type LoadedModel,
} from "@fairlead/inference";
import { hasErrorCode } from "@fairlead/kernel";
import type { InflightFile, InflightMark } from "./inflight.ts";
import type { ActivateResult, LoadRequest, LoadResult, LoadStatistics, ServingEvent } from "./ipc.ts";
import { Load } from "./load.ts";
import { toLoadSettings, type LoadSettings } from "./load-settings.ts";
import { ServeError } from "./serving-error.ts";
import { readVerifiedFile } from "./verified-file.ts";

export interface LoadsOptions {
  readonly runtime: InferenceRuntime;
  readonly inflight: InflightFile;
  readonly scheduler: DeviceScheduler;
  readonly maxQueue: number;
  readonly memory: MemoryLimits;
  emit(event: ServingEvent): void;
}

export interface MemoryLimits {
  /** What the process may take; null for no limit but the device's. */
  readonly budgetBytes: number | null;
  /** Kept free for the rest of the device. */
  readonly reserveBytes: number;
  /** A load in no slot may be given up for another after this time without a request. */
  readonly unloadIdleMs: number;
  read(): { readonly availableBytes: number; readonly rssBytes: number };
}

interface Slot {
  readonly load: Load;
  /** Why requests are refused; null while the slot serves. */
  readonly stoppedReason: string | null;
}

const maxModelBytes = 2 * 1024 ** 3 - 1;

/**
 * The builds in memory and which of them answers for which slot. Invariants: a slot's pointer changes in one
 * assignment; a load in a serving slot is never unloaded; a request keeps the load that it found.
 */
export class Loads {
  readonly #options: LoadsOptions;
  readonly #loads = new Map<string, Load>();
  /** Loads on their way, and what each of them is expected to take. */
  readonly #opening = new Map<string, number>();
  #loadingHung = false;
  /** Last activated last, so that of two slots with the same model the newer one answers for the bare name. */
  readonly #slots = new Map<string, Slot>();

  constructor(options: LoadsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#loads.size;
  }

  get inflight(): number {
    let count = 0;
    for (const load of this.#loads.values()) count += load.pending;
    return count;
  }

  /** True once a run or a load passed its deadline: a thread of this process will never answer again. */
  get hung(): boolean {
    return this.#loadingHung || [...this.#loads.values()].some((load) => load.hung);
  }

  /** True when an ordinary exit would wait for a thread that is inside the runtime. */
  get busy(): boolean {
    return this.hung || this.inflight > 0 || this.#opening.size > 0;
  }

  /** Reads, checks, inspects and loads a build; nothing is served from it before `activate`. */
  async open(request: LoadRequest): Promise<LoadResult> {
    const { loadId } = request;
    if (this.#loads.has(loadId) || this.#opening.has(loadId))
      throw new ServeError("load_exists", `'${loadId}' is in use`);
    const scheduled = toLoadSettings(request.scheduling ?? {}, this.#options.maxQueue);
    const mark = this.#options.inflight.claim(loadId);
    if (mark === null) throw new ServeError("too_many_loads", "no room for another load");
    const neededBytes = estimateLoadBytes(request.sizeBytes, scheduled.instances);
    const startedMs = performance.now();
    try {
      this.#opening.set(loadId, neededBytes);
      await this.#makeRoom(request, neededBytes);
      const load = await this.#openModel(request, { mark, ...scheduled });
      this.#loads.set(loadId, load);
      const { inputs, outputs } = load.target;
      return { inputs, outputs, loadMs: performance.now() - startedMs, placement: load.placement };
    } catch (error) {
      if (hasErrorCode(error, "inference_deadline")) {
        this.#loadingHung = true;
        this.#emitHung(request, performance.now() - startedMs);
      } else mark.release();
      throw error;
    } finally {
      this.#opening.delete(loadId);
    }
  }

  /** Refuses a load that does not fit; gives up idle loads in no slot, the longest unused first, when that makes it fit. */
  async #makeRoom({ loadId, model }: LoadRequest, neededBytes: number): Promise<void> {
    const { memory } = this.#options;
    const { availableBytes, rssBytes } = memory.read();
    // Loads that are on their way at the same time, this one among them, are counted together.
    const promisedBytes = [...this.#opening.values()].reduce((sum, bytes) => sum + bytes, 0);
    const active = new Set([...this.#slots.values()].map((slot) => slot.load));
    const idleSinceMs = performance.now() - memory.unloadIdleMs;
    const idleLoads = [...this.#loads.values()]
      .filter((load) => !active.has(load) && load.pending === 0 && !load.hung && load.lastUsedMs <= idleSinceMs)
      .map((load) => ({ loadId: load.loadId, lastUsedMs: load.lastUsedMs, bytes: load.memoryBytes }));
    const { budgetBytes, reserveBytes } = memory;
    const room = { availableBytes, reserveBytes, rssBytes, budgetBytes, idleLoads };
    const admission = decideAdmission({ neededBytes: promisedBytes, ...room });
    if (admission.kind === "refuse") {
      const missing = `${toMebibytes(admission.missingBytes)} MiB are missing of ${toMebibytes(neededBytes)} MiB`;
      throw new ServeError("memory_insufficient", `model '${model}' does not fit into memory: ${missing}`);
    }
    for (const idle of admission.unload) {
      const { slot } = this.get(idle);
      await this.close(idle);
      this.#options.emit({ kind: "unloaded", loadId: idle, slot, reason: `memory was needed for '${loadId}'` });
    }
  }

  async #openModel(request: LoadRequest, parts: LoadSettings & { readonly mark: InflightMark }): Promise<Load> {
    const { mark, settings, instances } = parts;
    const { memory, scheduler } = this.#options;
    const bytes = await readVerifiedFile(request, maxModelBytes);
    inspectOnnxBytes(bytes);
    mark.set("loading");
    const before = memory.read().rssBytes;
    const background = settings.priority === "batch";
    const models = await this.#loadInstances({ request, bytes, instances, background });
    mark.set(null);
    const output = request.classification?.output;
    if (output !== undefined && !models[0].outputs.some((spec) => spec.name === output)) {
      for (const model of models) await model.close();
      throw new ServeError("output_unknown", `the model has no output '${output}'`);
    }
    // Memory is shared with everything else in the process: what was measured is never believed to be less than the file.
    const memoryBytes = Math.max(request.sizeBytes * instances, memory.read().rssBytes - before);
    const onHung = (sinceMs: number) => this.#emitHung(request, sinceMs);
    return new Load({ request, models, settings, scheduler, mark, memoryBytes, onHung });
  }

  /** One after the other, so that the file is in memory once besides what the runtime keeps. */
  async #loadInstances(parts: {
    readonly request: LoadRequest;
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly instances: number;
    readonly background: boolean;
  }): Promise<[LoadedModel, ...LoadedModel[]]> {
    const { bytes, instances, background } = parts;
    const { threads, providers, runtime } = parts.request;
    const options = {
      ...{ threads, background },
      ...(providers === undefined ? {} : { providers }),
      ...(runtime === undefined ? {} : { runtime }),
    };
    const copies = Array.from({ length: instances - 1 }, () => () => bytes.slice());
    const rest: LoadedModel[] = [];
    try {
      for (const copy of copies) rest.push(await this.#options.runtime.load(copy(), options));
      return [await this.#options.runtime.load(bytes, options), ...rest];
    } catch (error) {
      for (const model of rest) await model.close();
      throw error;
    }
  }

  #emitHung({ loadId, slot, model }: LoadRequest, sinceMs: number): void {
    this.#options.emit({ kind: "hung", loadId, slot, model, sinceMs });
  }

  get(loadId: string): Load {
    const load = this.#loads.get(loadId);
    if (load === undefined) throw new ServeError("load_unknown", `no load '${loadId}'`);
    return load;
  }

  activate(slot: string, loadId: string): ActivateResult {
    const load = this.get(loadId);
    if (load.slot !== slot) throw new ServeError("slot_mismatch", `'${loadId}' was loaded for slot '${load.slot}'`);
    const previous = this.#slots.get(slot)?.load.loadId ?? null;
    this.#slots.delete(slot);
    this.#slots.set(slot, { load, stoppedReason: null });
    return { previousLoadId: previous };
  }

  stop(slot: string, reason: string): void {
    const current = this.#slots.get(slot);
    if (current !== undefined) this.#slots.set(slot, { load: current.load, stoppedReason: reason.slice(0, 500) });
  }

  async close(loadId: string): Promise<void> {
    const load = this.get(loadId);
    for (const slot of this.#slots.values()) {
      if (slot.load === load && slot.stoppedReason === null) {
        throw new ServeError("load_active", `'${loadId}' serves slot '${load.slot}'`);
      }
    }
    await load.close();
    this.#loads.delete(loadId);
  }

  setThrottled(throttled: boolean): void {
    this.#options.scheduler.setThrottled(throttled);
  }

  /** What answers for a model name, newest slot first; throws `model_unknown` in Triton's words. */
  find(model: string, version: string | null): Slot {
    let found: Slot | undefined;
    for (const slot of this.#slots.values()) {
      if (slot.load.target.name === model && (version === null || slot.load.version === version)) found = slot;
    }
    if (found !== undefined) return found;
    const which = version === null ? `'${model}'` : `'${model}' version ${version}`;
    throw new ServeError("model_unknown", `Request for unknown model: ${which} is not found`);
  }

  list(): readonly Slot[] {
    return [...this.#slots.values()];
  }

  takeStatistics(): LoadStatistics[] {
    const active = new Set([...this.#slots.values()].map((slot) => slot.load));
    return [...this.#loads.values()]
      .filter((load) => active.has(load) || load.accumulator.hasCounts())
      .map((load) => load.takeStatistics());
  }
}

const toMebibytes = (bytes: number): number => Math.ceil(bytes / 1_048_576);
