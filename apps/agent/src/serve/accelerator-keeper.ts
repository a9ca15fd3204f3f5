import {
  decideReturn,
  noteFailure,
  noteReturn,
  type Placement,
  type PlacementChange,
  type ReturnPolicy,
  type ReturnState,
} from "@fairlead/inference";
import { toErrorMessage } from "@fairlead/kernel";
import type { ServingEvent } from "./serving-event.ts";
import type { Load } from "./load.ts";
import type { LoadedInstances } from "./loaded-instances.ts";
import type { LoadAsk } from "./model-loader.ts";

export interface AcceleratorKeeperOptions {
  readonly policy: ReturnPolicy;
  /** Loads the build of a load again, beside what serves. */
  readonly load: (load: Load, ask: Pick<LoadAsk, "providers" | "standIn">) => Promise<LoadedInstances>;
  readonly emit: (event: ServingEvent) => void;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly random: () => number;
}

/**
 * Keeps loads where they should run: on the cpu as soon as an accelerator is lost, on the accelerator again once a session
 * there, loaded beside the one that serves, was proved. What is decided is in `decideReturn`; this is its one executor,
 * which tries one load at a time. Invariant: a load changes hands in one assignment, and what it had ends with its last run.
 */
export class AcceleratorKeeper {
  readonly #options: AcceleratorKeeperOptions;
  readonly #kept = new Set<Load>();
  readonly #states = new Map<Load, ReturnState>();
  /** Loads that lost their accelerator and got nothing in its place yet. */
  readonly #bare = new Map<Load, string>();
  #timer: NodeJS.Timeout | undefined;
  #trying = false;

  constructor(options: AcceleratorKeeperOptions) {
    this.#options = options;
  }

  add(load: Load): void {
    this.#kept.add(load);
    load.instances.changes.watch((change) => this.#onChange(load, change));
    if (load.placement.failedProvider === undefined) return;
    this.#noteFailure(load);
    this.#arm();
  }

  remove(load: Load): void {
    this.#kept.delete(load);
    this.#states.delete(load);
    this.#bare.delete(load);
  }

  #onChange(load: Load, change: PlacementChange): void {
    if (change.kind === "proved") return this.#report(load, change.placement);
    // Several instances of one load may be lost; the first takes all of them along.
    if (this.#bare.has(load) || this.#states.get(load)?.on === "stand-in") return;
    this.#noteFailure(load);
    this.#bare.set(load, change.reason);
    void this.#standIn(load).finally(() => this.#arm());
  }

  async #standIn(load: Load): Promise<void> {
    const reason = this.#bare.get(load);
    if (reason === undefined) return;
    const { requestedProviders } = load.placement;
    const [wanted = "cpu"] = requestedProviders;
    const lost = `${wanted} was lost: ${reason}`;
    if (!requestedProviders.includes("cpu")) {
      // Said once: each try that fails has a warning of its own.
      if (load.placement.failedProvider === wanted) return;
      // Nothing runs: not one node has a place.
      const proof = `${lost}; the cpu may not stand in`.slice(0, 500);
      return this.#report(load, { requestedProviders, shares: {}, proof, failedProvider: wanted });
    }
    try {
      const instances = await this.#options.load(load, { providers: ["cpu"] });
      const proof = `the cpu stands in: ${lost}`.slice(0, 500);
      const switched = this.#switch(load, instances, {
        ...instances.placement,
        requestedProviders,
        proof,
        failedProvider: wanted,
      });
      if (switched) this.#bare.delete(load);
    } catch (error) {
      this.#warn(load, `nothing stands in for the lost ${wanted}: ${toErrorMessage(error)}`);
    }
  }

  /** @returns false when the load was closed meanwhile; what was loaded for it is then closed too */
  #switch(load: Load, instances: LoadedInstances, placement: Placement): boolean {
    const kept = this.#kept.has(load);
    const gone = kept ? load.replace(instances) : instances;
    if (kept) {
      instances.changes.watch((change) => this.#onChange(load, change));
      this.#report(load, placement);
    }
    void gone.close().catch((error: unknown) => this.#warn(load, `not closed: ${toErrorMessage(error)}`));
    return kept;
  }

  #report(load: Load, placement: Placement): void {
    load.placement = placement;
    this.#options.emit({ kind: "placement", loadId: load.loadId, slot: load.slot, placement });
  }

  #warn(load: Load, message: string): void {
    const { loadId, slot } = load;
    this.#options.emit({ kind: "model-warning", loadId, slot, code: "accelerator_failed", message });
  }

  #noteFailure(load: Load): void {
    const { nowMs, random, policy } = this.#options;
    const before = this.#states.get(load) ?? null;
    this.#states.set(load, noteFailure(before, { nowMs: nowMs(), random: random() }, policy));
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#trying) return;
    const { nowMs, policy } = this.#options;
    const now = nowMs();
    const waits = [...this.#states.values()].flatMap((state) => {
      const decision = decideReturn(state, now, policy);
      return decision.kind === "stay" ? [] : [decision.kind === "try" ? 0 : decision.untilMs - now];
    });
    if (waits.length === 0) return;
    this.#timer = setTimeout(() => void this.#tryDue(), Math.ceil(Math.min(...waits, 2_147_483_647))).unref();
  }

  async #tryDue(): Promise<void> {
    this.#trying = true;
    const { nowMs, policy } = this.#options;
    const due = [...this.#states].filter(([, state]) => decideReturn(state, nowMs(), policy).kind === "try");
    for (const [load] of due) if (this.#kept.has(load)) await this.#try(load);
    this.#trying = false;
    this.#arm();
  }

  async #try(load: Load): Promise<void> {
    const { placement } = load;
    try {
      const instances = await this.#options.load(load, { standIn: false });
      if (!isThere(instances.placement)) {
        await instances.close();
        throw new Error("it is not proved that a node runs there");
      }
      // Noted before the switch, which may tell at once that it was lost again while another instance was loaded.
      const state = this.#states.get(load);
      if (state !== undefined) this.#states.set(load, noteReturn(state, this.#options.nowMs()));
      this.#bare.delete(load);
      this.#switch(load, instances, instances.placement);
    } catch (error) {
      if (!this.#kept.has(load)) return;
      this.#noteFailure(load);
      this.#warn(load, `${placement.requestedProviders[0]} is still not there: ${toErrorMessage(error)}`);
      await this.#standIn(load);
    }
  }
}

function isThere({ requestedProviders, shares, failedProvider }: Placement): boolean {
  const [wanted = "cpu"] = requestedProviders;
  if (failedProvider !== undefined) return false;
  // Without the cpu among them, that the session exists is the proof.
  return !requestedProviders.includes("cpu") || (shares?.[wanted] ?? 0) > 0;
}
