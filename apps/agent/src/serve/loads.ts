import { inspectOnnxBytes } from "@fairlead/inference/inspect";
import type { InferenceRuntime } from "@fairlead/inference";
import { hasErrorCode } from "@fairlead/kernel";
import type { InflightFile, InflightMark } from "./inflight.ts";
import type { ActivateResult, LoadRequest, LoadResult, LoadStatistics, ServingEvent } from "./ipc.ts";
import { Load } from "./load.ts";
import { ServeError } from "./serving-error.ts";
import { readVerifiedFile } from "./verified-file.ts";

export interface LoadsOptions {
  readonly runtime: InferenceRuntime;
  readonly inflight: InflightFile;
  readonly maxQueue: number;
  emit(event: ServingEvent): void;
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
  readonly #opening = new Set<string>();
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
    const mark = this.#options.inflight.claim(loadId);
    if (mark === null) throw new ServeError("too_many_loads", "no room for another load");
    this.#opening.add(loadId);
    const startedMs = performance.now();
    try {
      const load = await this.#openModel(request, mark);
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

  async #openModel(request: LoadRequest, mark: InflightMark): Promise<Load> {
    const bytes = await readVerifiedFile(request, maxModelBytes);
    inspectOnnxBytes(bytes);
    mark.set("loading");
    const model = await this.#options.runtime.load(bytes, {
      threads: request.threads,
      ...(request.providers === undefined ? {} : { providers: request.providers }),
    });
    mark.set(null);
    const output = request.classification?.output;
    if (output !== undefined && !model.outputs.some((spec) => spec.name === output)) {
      await model.close();
      throw new ServeError("output_unknown", `the model has no output '${output}'`);
    }
    const onHung = (sinceMs: number) => this.#emitHung(request, sinceMs);
    return new Load({ request, model, mark, maxQueue: this.#options.maxQueue, onHung });
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
