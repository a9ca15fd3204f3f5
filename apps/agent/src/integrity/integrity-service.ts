import { toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import type { Evidence, EventData, Measurement } from "@fairlead/protocol";
import { openSavedState } from "../saved-state.ts";
import { chainStateSchema, createEvidenceChain, type EvidenceChain } from "./durable-chain.ts";
import { createFileDigests, type FileDigests } from "./file-digests.ts";
import { createMeasurer, type Measurer } from "./measurer.ts";
import { compareMeasurements, toMeasurementMap, type MeasurementMap } from "./measurement-list.ts";
import { judgeModels, type FailingModel, type FoundModel, type ModelVerdict } from "./model-verdicts.ts";
import type { EvidenceOutbox, FileSources } from "./ports.ts";

export interface IntegrityServiceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly files: FileSources;
  readonly outbox: EvidenceOutbox;
  /** Path of the state file that holds the chain's head and the link that may not have reached the outbox. */
  readonly stateFile: string;
  /** Sends a discrete event: `integrity-failed`, `integrity-restored`. */
  readonly emit: (data: EventData) => void;
  /** The slot's file is not what its record says. Called once per failure, and again after a restart while it lasts. */
  readonly onModelMismatch: (slot: string, digest: string) => void;
  /** The file that failed is right again. */
  readonly onModelRestored: (slot: string, digest: string) => void;
  /** Default 30,000. */
  readonly periodMs?: number;
  /** Default 1,000. */
  readonly checkMs?: number;
  /** Bytes per period that are read again although no stamp changed. Default 16 MiB: well below 1 % of a small core. */
  readonly rehashBytes?: number;
}

export interface IntegrityService extends Service {
  /** Measures and hashes everything and appends one full link. Null when it could not be appended (it is tried again). */
  measureNow(trigger: Evidence["trigger"]): Promise<Evidence | null>;
  /** One turn of the timer: compares the model files' stamps and measures what is due. Harmless to call at any time. */
  check(): Promise<void>;
}

/** A plane that lost its list gets a whole one this often, in periodic links. */
const fullEvery = 60;
const earliestMs = 1_000_000_000_000;

export function createIntegrityService(options: IntegrityServiceOptions): IntegrityService {
  return new IntegrityReporter(options);
}

class IntegrityReporter implements IntegrityService {
  readonly name = "integrity";
  readonly #options: IntegrityServiceOptions;
  readonly #abort = new AbortController();
  readonly #digests: FileDigests;
  readonly #measurer: Measurer;
  readonly #chain: EvidenceChain;
  #queue: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #resumed = false;
  #failing: readonly FailingModel[] = [];
  /** As measured last; null before the first measurement. */
  #current: MeasurementMap | null = null;
  /** As the plane knows it from the links so far; null when the next link must be full. */
  #reported: MeasurementMap | null = null;
  #judged = false;
  #linksSinceFull = 0;
  #nextPeriodAtMs = 0;

  constructor(options: IntegrityServiceOptions) {
    this.#options = options;
    const { clock, files, logger, outbox, stateFile } = options;
    this.#digests = createFileDigests({ nowMs: () => clock.nowMs(), signal: this.#abort.signal });
    this.#measurer = createMeasurer(files, this.#digests);
    const saved = openSavedState({ path: stateFile, schema: chainStateSchema, logger });
    this.#chain = createEvidenceChain({ saved, outbox, logger });
  }

  /** Returns before the first measurement ends: large models must not delay the start of the device. */
  async start(): Promise<void> {
    this.#loop();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort.abort();
    await this.#queue;
    if (this.#resumed) this.#chain.close();
  }

  measureNow(trigger: Evidence["trigger"]): Promise<Evidence | null> {
    return this.#enqueue(() => this.#measureAll(trigger, { full: true }));
  }

  async check(): Promise<void> {
    await this.#enqueue(async () => {
      if (this.#current === null) return this.#measureAll("start", { full: true });
      if (this.#options.clock.monotonicMs() < this.#nextPeriodAtMs) return this.#checkModels(this.#current);
      await this.#digests.rehash(this.#options.rehashBytes ?? 16 * 1_048_576);
      return this.#measureAll("periodic", { full: this.#linksSinceFull + 1 >= fullEvery });
    });
  }

  #loop(): void {
    void this.check().finally(() => {
      if (this.#abort.signal.aborted) return;
      this.#timer = setTimeout(() => this.#loop(), this.#options.checkMs ?? 1_000);
    });
  }

  /** One measurement at a time; a failure costs that one and is tried again with the next. */
  #enqueue(measure: () => Promise<Evidence | null>): Promise<Evidence | null> {
    const run = this.#queue.then(async () => {
      if (this.#abort.signal.aborted) return null;
      this.#resume();
      return measure();
    });
    const safe = run.catch((error: unknown) => {
      if (!this.#abort.signal.aborted)
        this.#options.logger.error("a measurement failed", { reason: toErrorMessage(error) });
      return null;
    });
    this.#queue = safe;
    return safe;
  }

  #resume(): void {
    if (this.#resumed) return;
    this.#chain.resume();
    this.#failing = this.#chain.failing;
    this.#resumed = true;
  }

  async #measureAll(trigger: Evidence["trigger"], { full }: { full: boolean }): Promise<Evidence | null> {
    this.#nextPeriodAtMs = this.#options.clock.monotonicMs() + (this.#options.periodMs ?? 30_000);
    // A start and a command want the bytes, not what was remembered of them.
    const fresh = trigger === "start" || trigger === "command";
    // Models first: they are what an attacker gains most by, and the slot waits for the verdict.
    const models = await this.#measurer.models(fresh);
    this.#judge(models.found);
    const others = await this.#measurer.others(fresh);
    this.#current = toMeasurementMap([...models.measurements, ...others]);
    return this.#report(this.#current, trigger, full);
  }

  async #checkModels(before: MeasurementMap): Promise<Evidence | null> {
    if (!(await this.#measurer.haveModelsChanged())) return null;
    const models = await this.#measurer.models(false);
    this.#judge(models.found);
    const others = [...before.values()].filter(({ kind }) => kind !== "model");
    this.#current = toMeasurementMap([...models.measurements, ...others]);
    const { changed, vanished } = compareMeasurements(before, this.#current);
    if (changed.length === 0 && !vanished) return null;
    return this.#report(
      this.#current,
      changed.every((found) => isAsExpectedOf(before, found)) ? "load" : "changed",
      false,
    );
  }

  #judge(found: readonly FoundModel[]): void {
    const { failing, verdicts } = judgeModels(this.#failing, found);
    this.#failing = failing;
    const isNew = ({ slot }: FailingModel) => verdicts.some((verdict) => verdict.slot === slot);
    for (const verdict of verdicts) this.#attempt(() => this.#announce(verdict));
    const { onModelMismatch } = this.#options;
    // What failed before a restart may have been forgotten by whoever acts on it.
    for (const model of this.#judged ? [] : failing.filter((one) => !isNew(one)))
      this.#attempt(() => onModelMismatch(model.slot, model.digest));
    this.#judged = true;
  }

  #announce(verdict: ModelVerdict): void {
    const { emit, onModelMismatch, onModelRestored, logger } = this.#options;
    const { slot, digest } = verdict;
    const build = { slot, buildDigest: digest, name: `slot/${slot}` };
    if (verdict.kind === "failed") {
      logger.error("a model file is not what it should be", { slot, expected: digest, actual: verdict.actual });
      this.#attempt(() => emit({ kind: "integrity-failed", ...build, expected: digest, actual: verdict.actual }));
      onModelMismatch(slot, digest);
      return;
    }
    logger.info("the slot's model file is right again", { slot, digest });
    this.#attempt(() => emit({ kind: "integrity-restored", ...build }));
    if (verdict.repaired) onModelRestored(slot, digest);
  }

  /** A listener that fails must not cost the evidence. */
  #attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#options.logger.error("an integrity verdict could not be handed on", { reason: toErrorMessage(error) });
    }
  }

  #report(current: MeasurementMap, trigger: Evidence["trigger"], wantsFull: boolean): Evidence | null {
    const { changed, vanished } = compareMeasurements(this.#reported ?? new Map(), current);
    const full = wantsFull || vanished || this.#reported === null;
    const measurements = full ? [...current.values()] : changed;
    const tsMs = Math.max(earliestMs, Math.floor(this.#options.clock.nowMs()));
    const evidence = this.#chain.seal({ tsMs, trigger, full, measurements }, this.#failing);
    // A link that waits is on the chain, but what the plane will make of it is not certain: the next one says all.
    this.#reported = evidence === null ? null : current;
    if (evidence !== null) this.#linksSinceFull = full ? 0 : this.#linksSinceFull + 1;
    return evidence;
  }
}

/** True when the slot has another build than before and its file is right: a load, not a change. */
function isAsExpectedOf(before: MeasurementMap, found: Measurement): boolean {
  return found.actual === found.expected && before.get(`${found.kind}:${found.name}`)?.expected !== found.expected;
}
