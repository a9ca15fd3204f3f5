import type { BuildCapabilities } from "@fairlead/artifacts";
import { toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import { slotNameSchema, type DesiredState, type EventData } from "@fairlead/protocol";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openSavedState } from "../saved-state.ts";
import type { ServingExit, ServingHost } from "../serving/serving-host.ts";
import type { ArtifactKeeper } from "./artifact-keeper.ts";
import type { Chooser } from "./choice/chooser.ts";
import { asShadow, toWish } from "./desired.ts";
import type { DeviceOffers } from "./load-target.ts";
import { RepositoryClient } from "./repository-client.ts";
import { SlotEngine } from "./slot-engine.ts";
import type { Wish } from "./plan.ts";
import type { TrialCounts } from "./trial-health.ts";
import type { SlotPorts, SlotView } from "./slot-ports.ts";
import type { ExpectedModel, LoadScheduling } from "../serve/ipc.ts";
import type { ServingEvent } from "../serve/serving-event.ts";
import { slotRecordSchema, toExpectedModels, toKeptDigests } from "./slot-record.ts";

export interface SlotsOptions {
  readonly folder: string;
  readonly serving: Pick<ServingHost, "ready" | "trouble" | "request">;
  readonly keeper: ArtifactKeeper;
  readonly chooser: Chooser;
  readonly capabilities: BuildCapabilities;
  readonly offers: DeviceOffers;
  readonly judgeTime: SlotPorts["judgeTime"];
  readonly held: SlotPorts["held"];
  readonly emit: (data: EventData) => void;
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly threads: number;
  readonly deadlineMs: number;
  /** By the slot's name. */
  readonly scheduling: Readonly<Record<string, LoadScheduling>>;
}

const cleanAfterMs = 2_000;

/** All slots of the device: those on disk and those that the desired state names. */
export class Slots implements Service {
  readonly name = "slots";
  readonly #options: SlotsOptions;
  readonly #engines = new Map<string, SlotEngine>();
  readonly #repository: RepositoryClient;
  #cleanTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: SlotsOptions) {
    this.#options = options;
    this.#repository = new RepositoryClient(options.clock);
    for (const file of readdirSync(options.folder)) {
      const slot = file.endsWith(".json") ? file.slice(0, -".json".length) : "";
      if (slotNameSchema.safeParse(slot).success) this.#open(slot);
    }
  }

  #open(slot: string): SlotEngine {
    const known = this.#engines.get(slot);
    if (known !== undefined) return known;
    const { folder, serving, keeper, emit, clock, random, logger, threads, offers, deadlineMs } = this.#options;
    const { scheduling, judgeTime, held } = this.#options;
    const engine = new SlotEngine(slot, {
      saved: openSavedState({ path: join(folder, `${slot}.json`), schema: slotRecordSchema, logger }),
      serving,
      fetch: (artifact, signal, onProgress) => keeper.fetch(artifact, { signal, onProgress }),
      judgeTime,
      held,
      toPath: (digest) => keeper.toPath(digest),
      emit,
      onChange: () => this.#onChange(),
      clock,
      random,
      logger,
      threads,
      offers,
      deadlineMs,
      scheduling: Object.hasOwn(scheduling, slot) ? scheduling[slot] : undefined,
    });
    this.#engines.set(slot, engine);
    return engine;
  }

  async start(): Promise<void> {
    for (const engine of this.#engines.values()) engine.wake();
    this.#scheduleClean();
  }

  async stop(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#cleanTimer);
    await Promise.all([...this.#engines.values()].map((engine) => engine.close()));
  }

  get(slot: string): SlotEngine | undefined {
    return this.#engines.get(slot);
  }

  get all(): readonly SlotEngine[] {
    return [...this.#engines.values()];
  }

  get views(): readonly SlotView[] {
    return this.all.map((engine) => ({ ...engine.view, choice: this.#options.chooser.view(engine.record.slot) }));
  }

  /** What a serving process that starts now will be given to serve. */
  get expected(): readonly ExpectedModel[] {
    return this.#options.held() === null ? this.all.flatMap(({ record }) => toExpectedModels(record)) : [];
  }

  setWishes(state: DesiredState): void {
    const { chooser, capabilities } = this.#options;
    for (const entry of state.slots) {
      const engine = this.#open(entry.slot);
      const wish = toWish(entry, capabilities);
      const { job } = engine.record;
      const setWish = (decided: Wish) => engine.setWish(asShadow(decided, entry));
      setWish(chooser.follow({ slot: entry.slot, wish, job, onDecided: setWish }));
    }
  }

  /** The file under this digest is not what it claims to be: nothing loads it until it was fetched again. */
  distrust(slot: string, digest: string): void {
    const engine = this.#engines.get(slot);
    engine?.apply({ kind: "distrusted", digest });
    engine?.wake();
  }

  /** The file is right again. A stop by command stays until a command lifts it. */
  trustAgain(slot: string, digest: string): void {
    const engine = this.#engines.get(slot);
    if (engine === undefined || engine.record.stopped !== null || !engine.record.distrusted.includes(digest)) return;
    engine.apply({ kind: "repaired", digest });
    engine.wake();
  }

  onTrial(): boolean {
    return this.all.some((engine) => engine.onTrial);
  }

  onTrialCounts(slot: string, digest: string, counts: TrialCounts): void {
    this.#engines.get(slot)?.onTrialCounts(digest, counts);
  }

  onPlacement({ slot, loadId, placement }: Extract<ServingEvent, { kind: "placement" }>): void {
    this.#engines.get(slot)?.onPlacement(loadId, placement);
  }

  /** The serving process gave a load up: what is still wanted is loaded again. */
  onUnloaded(slot: string, loadId: string): void {
    const engine = this.#engines.get(slot);
    engine?.removeLoad(loadId);
    engine?.wake();
    this.#onChange();
  }

  async onRepository(asked: Extract<ServingEvent, { kind: "repository" }>): Promise<void> {
    const { serving, logger } = this.#options;
    const refusal = await this.#askRepository(asked);
    logger.info("a client on the device asked for a model", { ask: asked.ask, model: asked.model, refusal });
    // A process that ended meanwhile has forgotten the question, and its client with it.
    await serving.request({ kind: "repository-done", askId: asked.askId, refusal }).catch(() => undefined);
  }

  /** What cannot be done, as a record that cannot be saved, is a refusal to whoever asked, and no end of the supervisor. */
  async #askRepository(asked: Extract<ServingEvent, { kind: "repository" }>): Promise<string | null> {
    try {
      return await this.#repository.ask(this.all, asked);
    } catch (error) {
      return toErrorMessage(error);
    }
  }

  /** What may be served has changed for all of them. */
  onHeld(): void {
    for (const engine of this.#engines.values()) engine.wake();
    this.#onChange();
  }

  onServingReady(): void {
    for (const engine of this.#engines.values()) engine.wake();
  }

  onServingExit(exit: ServingExit): void {
    for (const engine of this.#engines.values()) {
      try {
        engine.onServingExit(exit);
      } catch (error) {
        // A record that cannot be saved (a full disk) must not end the supervisor; the engine plans again from it.
        this.#options.logger.error("a slot could not note the end of the serving process", {
          slot: engine.record.slot,
          reason: toErrorMessage(error),
        });
        engine.wakeAt(this.#options.clock.monotonicMs() + 1_000);
      }
    }
  }

  #onChange(): void {
    this.#options.onChange();
    this.#repository.onChange();
    this.#scheduleClean();
  }

  #scheduleClean(): void {
    if (this.#closed) return;
    this.#cleanTimer ??= setTimeout(() => {
      this.#cleanTimer = undefined;
      const { keeper, chooser } = this.#options;
      const toKept = () => [...this.all.flatMap(({ record }) => toKeptDigests(record)), ...chooser.keptDigests];
      void keeper.clean(() => new Set(toKept()));
    }, cleanAfterMs);
  }
}
