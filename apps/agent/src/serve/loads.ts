import { decideAdmission, estimateLoadBytes, type DeviceScheduler, type ReturnPolicy } from "@fairlead/inference";
import { hasErrorCode } from "@fairlead/kernel";
import { AcceleratorKeeper } from "./accelerator-keeper.ts";
import type { ExpectedModels } from "./expected-models.ts";
import type { InflightFile, InflightMark } from "./inflight.ts";
import type { ActivateResult, LoadRequest, LoadResult, LoadStatistics, ShadowRequest } from "./ipc.ts";
import type { ServingEvent } from "./serving-event.ts";
import { Load } from "./load.ts";
import { toLoadSettings, type LoadSettings } from "./load-settings.ts";
import { loadInstances, type ModelGate } from "./model-loader.ts";
import { ServeError } from "./serving-error.ts";
import { Shadow } from "./shadow.ts";

export interface LoadsOptions extends ModelGate {
  readonly inflight: InflightFile;
  readonly scheduler: DeviceScheduler;
  readonly maxQueue: number;
  readonly memory: MemoryLimits;
  /** How soon a failed accelerator is tried again. */
  readonly acceleratorRetry: ReturnPolicy;
  /** What the supervisor is about to load. */
  readonly expected: ExpectedModels;
  /** Whether lone requests may run on the thread that reads them. */
  readonly inline: boolean;
  emit(event: ServingEvent): void;
  /** 0..1; picks the requests that a shadow is given. */
  random(): number;
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

  /** By slot. */
  readonly #shadows = new Map<string, Shadow>();
  readonly #accelerators: AcceleratorKeeper;

  constructor(options: LoadsOptions) {
    this.#options = options;
    this.#accelerators = new AcceleratorKeeper({
      policy: options.acceleratorRetry,
      emit: (event) => options.emit(event),
      nowMs: () => performance.now(),
      random: () => options.random(),
      load: async (load, ask) => {
        const copies = load.instances.models.length;
        this.#checkRoom(load.request, copies);
        const background = load.settings.priority === "batch";
        return await loadInstances(options, load.request, {
          ...ask,
          ...{ background, instances: copies, checkRoom: this.#toRoomCheck(load.request) },
        });
      },
    });
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
      this.#accelerators.add(load);
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

  /** For the session that a lone client may get beside the others. */
  #toRoomCheck(request: LoadRequest): (() => void) | null {
    return this.#options.inline ? () => this.#checkRoom(request, 1) : null;
  }

  /** A second copy of a load is no reason to give others up. */
  #checkRoom(request: LoadRequest, copies: number): void {
    const { memory } = this.#options;
    const { budgetBytes, reserveBytes } = memory;
    const neededBytes =
      estimateLoadBytes(request.sizeBytes, copies) + [...this.#opening.values()].reduce((sum, bytes) => sum + bytes, 0);
    const admission = decideAdmission({ neededBytes, reserveBytes, budgetBytes, ...memory.read(), idleLoads: [] });
    if (admission.kind !== "refuse") return;
    const missing = `${toMebibytes(admission.missingBytes)} MiB are missing of ${toMebibytes(neededBytes)} MiB`;
    throw new ServeError("memory_insufficient", `a second session does not fit into memory: ${missing}`);
  }

  async #openModel(request: LoadRequest, parts: LoadSettings & { readonly mark: InflightMark }): Promise<Load> {
    const { mark, settings, instances } = parts;
    const { memory, scheduler } = this.#options;
    let before = memory.read().rssBytes;
    const background = settings.priority === "batch";
    const loaded = await loadInstances(this.#options, request, {
      ...{ instances, background, checkRoom: this.#toRoomCheck(request) },
      onChecked: () => {
        mark.set("loading");
        before = memory.read().rssBytes;
      },
    });
    mark.set(null);
    const output = request.classification?.output;
    if (output !== undefined && !loaded.models[0].outputs.some((spec) => spec.name === output)) {
      await loaded.close();
      throw new ServeError("output_unknown", `the model has no output '${output}'`);
    }
    // Memory is shared with everything else in the process: what was measured is never believed to be less than the file.
    const memoryBytes = Math.max(request.sizeBytes * instances, memory.read().rssBytes - before);
    const onHung = (sinceMs: number) => this.#emitHung(request, sinceMs);
    return new Load({ request, instances: loaded, settings, scheduler, mark, memoryBytes, onHung });
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
    this.#endShadow(load);
    this.#slots.delete(slot);
    this.#slots.set(slot, { load, stoppedReason: null });
    this.#options.expected.settle(slot);
    return { previousLoadId: previous };
  }

  /** From now on the load runs beside the slot's active one; see `ShadowRequest`. */
  shadow({ slot, loadId, share, tolerance }: ShadowRequest): void {
    const load = this.get(loadId);
    if (load.slot !== slot) throw new ServeError("slot_mismatch", `'${loadId}' was loaded for slot '${load.slot}'`);
    if (this.#slots.get(slot)?.load === load) throw new ServeError("load_active", `'${loadId}' serves slot '${slot}'`);
    const bounds = [share, tolerance.absolute, tolerance.relative];
    if (!bounds.every((bound) => Number.isFinite(bound) && bound >= 0) || share > 1)
      throw new ServeError("request_invalid", "share or tolerance of the shadow are out of range");
    const before = this.#shadows.get(slot);
    if (before !== undefined) this.#endShadow(before.load);
    this.#shadows.set(slot, new Shadow(load, { share, tolerance }, () => this.#options.random()));
  }

  /** What runs beside this load, while it is the one that serves. */
  findShadow(load: Load): Shadow | null {
    return this.#shadows.get(load.slot) ?? null;
  }

  #endShadow(load: Load): void {
    if (this.#shadows.get(load.slot)?.load !== load) return;
    this.#shadows.delete(load.slot);
    load.comparison = null;
  }

  stop(slot: string, reason: string): void {
    this.#options.expected.settle(slot);
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
    this.#endShadow(load);
    this.#accelerators.remove(load);
    await load.close();
    this.#loads.delete(loadId);
  }

  setThrottled(throttled: boolean): void {
    this.#options.scheduler.setThrottled(throttled);
  }

  /** What answers for a model name, newest slot first. @throws ServeError `model_loading` · `model_unknown`, in Triton's words */
  find(model: string, version: string | null): Slot {
    let found: Slot | undefined;
    for (const slot of this.#slots.values()) {
      if (slot.load.target.name === model && (version === null || slot.load.version === version)) found = slot;
    }
    if (found !== undefined) return found;
    const which = version === null ? `'${model}'` : `'${model}' version ${version}`;
    if (this.#options.expected.has(model, version, performance.now()))
      throw new ServeError("model_loading", `Request for model ${which} came early: it is being loaded`);
    throw new ServeError("model_unknown", `Request for unknown model: ${which} is not found`);
  }

  list(): readonly Slot[] {
    return [...this.#slots.values()];
  }

  /** What answers for a model name, of whatever version; the one that answers for the bare name comes last. */
  listOf(model: string): readonly Load[] {
    return this.list().flatMap(({ load }) => (load.target.name === model ? [load] : []));
  }

  takeStatistics(): LoadStatistics[] {
    const active = new Set([...this.#slots.values()].map((slot) => slot.load));
    return [...this.#loads.values()]
      .filter((load) => active.has(load) || load.comparison !== null || load.accumulator.hasCounts())
      .map((load) => load.takeStatistics());
  }
}

const toMebibytes = (bytes: number): number => Math.ceil(bytes / 1_048_576);
