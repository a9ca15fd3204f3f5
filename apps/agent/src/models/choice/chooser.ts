import { toDocumentDigest } from "@fairlead/artifacts";
import { hasErrorCode, toBackoffDelayMs, toErrorCode, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import { isJobEnd, isJobSuccess, type ArtifactReference, type Build, type SlotChoice } from "@fairlead/protocol";
import { setTimeout as wait } from "node:timers/promises";
import { isSameRequest, type Wish } from "../plan.ts";
import type { Saved } from "../saved.ts";
import { toInstalledBuild, type Job } from "../slot-record.ts";
import {
  createEntry,
  toFailed,
  toPlanned,
  withEntry,
  type ChoiceEntry,
  type ChoiceRequest,
  type Choices,
  type Measurement,
} from "./choice-record.ts";
import { decideChoice, toPolicy, type Decision, type DevicePolicy } from "./decide.ts";

export interface ChooserOptions {
  readonly saved: Saved<Choices>;
  /** Hardware, driver, runtime and settings that the numbers depend on, as a digest. */
  readonly fingerprint: string;
  /** What of the slot's configuration decides where a build runs, as data: with another the numbers are another's. */
  readonly toPlace: (slot: string, build: Build) => object;
  /** Name and version, as far as known, of the server that runs this build for this slot; null for the device's own runtime. */
  readonly readServer: (slot: string, build: Build) => string | null;
  readonly policy: DevicePolicy;
  /** Brings an artifact here, checked. Codes of download and store. */
  readonly fetch: (artifact: ArtifactReference, signal: AbortSignal) => Promise<void>;
  /** Bytes that a download may take now. */
  readonly freeBytes: () => Promise<number>;
  /** Runs a build in a process of its own. Never throws for a fault of the build. @throws when aborted */
  readonly measure: (request: ChoiceRequest, build: Build, signal: AbortSignal) => Promise<Measurement>;
  /** Why this release must not be fetched (any more); null while it may. */
  readonly judgeTime: (releaseId: string) => { readonly code: string; readonly reason: string } | null;
  readonly onChange: () => void;
  /** Another build than the slot's choice named until now; called before the choice is noted and the wish followed. */
  readonly onNewChoice: (slot: string, choice: { readonly wish: Wish; readonly candidates: number }) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

export interface Followed {
  readonly slot: string;
  readonly wish: Wish;
  readonly job: Job | null;
  readonly onDecided: (wish: Wish) => void;
}

type ChooseWish = Extract<Wish, { kind: "choose" }>;

interface Task {
  readonly wish: ChooseWish;
  readonly abort: AbortController;
  readonly onDecided: (wish: Wish) => void;
}

const retry = { baseMs: 1_000, maxMs: 300_000 };
/** Downloads of one candidate that may fail once another candidate is here. */
const maxFetchTries = 3;
/** Benchmarks that may be cut short with the whole agent before the build is held to be the reason. */
const maxCutShort = 3;
const reserveBytes = 16_777_216;

/** Finds out by measuring which build a slot is to run. One candidate is measured at a time, so that none disturbs another. */
export class Chooser {
  readonly #options: ChooserOptions;
  readonly #tasks = new Map<string, Task>();
  /** Slots that have builds to choose from, with what they were last asked for. */
  readonly #followed = new Map<string, Pick<Task, "wish" | "onDecided">>();
  #choices: Choices;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: ChooserOptions) {
    this.#options = options;
    this.#choices = options.saved.load() ?? { v: 1, entries: [], slots: {} };
  }

  /** The wish that the slot is to follow now; when builds have to be measured first, the decided one comes later. */
  follow({ slot, wish, job, onDecided }: Followed): Wish {
    const task = this.#tasks.get(slot);
    if (wish.kind !== "choose") {
      task?.abort.abort();
      this.#tasks.delete(slot);
      this.#followed.delete(slot);
      this.#forget(slot);
      return wish;
    }
    this.#followed.set(slot, { wish, onDecided });
    if (task !== undefined && isSameRequest(task.wish.job, wish.job)) return wish;
    task?.abort.abort();
    this.#tasks.delete(slot);
    const known = this.#decide(wish.request);
    if (known.complete && known.chosen !== null) {
      return this.#settle(slot, { wish, decision: known, cached: true });
    }
    const ended = job !== null && isSameRequest(job, wish.job) && isJobEnd(job.state);
    if (ended && !isJobSuccess(job.state)) return wish;
    this.#begin(slot, { wish, onDecided, abort: new AbortController() });
    return wish;
  }

  /** Forgets the numbers of what the slot chooses from and measures anew. False when it has nothing to choose from. */
  measureAgain(slot: string): boolean {
    const followed = this.#followed.get(slot);
    if (followed === undefined) return false;
    if (this.#tasks.has(slot)) return true;
    this.#save(withEntry(this.#choices, createEntry(this.toKey(followed.wish.request))));
    this.#begin(slot, { ...followed, abort: new AbortController() });
    return true;
  }

  view(slot: string): SlotChoice | null {
    const task = this.#tasks.get(slot);
    return task === undefined
      ? (this.#choices.slots[slot] ?? null)
      : this.#toView(task.wish.request, { state: "measuring", cached: false });
  }

  /** Files that must stay: those of candidates while they are measured, then the chosen one's. */
  get keptDigests(): readonly string[] {
    const measuring = [...this.#tasks.values()].flatMap(({ wish: { request } }) => [
      ...toPlanned(request).map(({ artifact }) => artifact.digest),
      ...(request.content.selfTest.golden === null ? [] : [request.content.selfTest.golden.digest]),
    ]);
    return [...measuring, ...Object.values(this.#choices.slots).flatMap(({ chosen }) => chosen ?? [])];
  }

  async close(): Promise<void> {
    for (const task of this.#tasks.values()) task.abort.abort();
    this.#tasks.clear();
    await this.#turn;
  }

  toKey({ slot, content, candidates }: ChoiceRequest): string {
    const { fingerprint, toPlace } = this.#options;
    const builds = candidates.map(({ artifact }) => artifact.digest);
    const places = candidates.map((build) => toPlace(slot, build));
    return toDocumentDigest({ release: toDocumentDigest(content), builds, places, fingerprint });
  }

  #entry(request: ChoiceRequest): ChoiceEntry {
    const key = this.toKey(request);
    const entry = this.#choices.entries.find((one) => one.key === key) ?? createEntry(key);
    return { ...entry, measured: entry.measured.filter((one) => this.#isCurrent(request, one)) };
  }

  /** Numbers from another version of a server are another's; of a server that never said what it is nothing can be said. */
  #isCurrent({ slot, candidates }: ChoiceRequest, { digest, server }: Measurement): boolean {
    const build = candidates.find(({ artifact }) => artifact.digest === digest);
    const known = build === undefined ? null : this.#options.readServer(slot, build);
    return server === undefined || known === null || server === known;
  }

  #decide(request: ChoiceRequest): Decision {
    return decideChoice(request, this.#entry(request), toPolicy(request.content, this.#options.policy).policy);
  }

  #toView(request: ChoiceRequest, state: Pick<SlotChoice, "state" | "cached">): SlotChoice {
    const { chosen, candidates } = this.#decide(request);
    return {
      releaseId: request.releaseId,
      ...state,
      ...toPolicy(request.content, this.#options.policy),
      chosen: chosen?.artifact.digest ?? null,
      fingerprint: this.#options.fingerprint,
      measuredAtMs: this.#entry(request).measuredAtMs,
      candidates: [...candidates],
    };
  }

  #save(choices: Choices): void {
    this.#options.saved.save(choices);
    this.#choices = choices;
  }

  #update(request: ChoiceRequest, change: (entry: ChoiceEntry) => Partial<ChoiceEntry>): void {
    const entry = this.#entry(request);
    this.#save(withEntry(this.#choices, { ...entry, ...change(entry) }));
  }

  #settle(
    slot: string,
    { wish, decision, cached }: { readonly wish: ChooseWish; readonly decision: Decision; readonly cached: boolean },
  ): Wish {
    const decided = toDecidedWish(wish, decision);
    const noted = this.#choices.slots[slot]?.chosen;
    if (noted !== decision.chosen?.artifact.digest)
      this.#options.onNewChoice(slot, { wish: decided, candidates: decision.candidates.length });
    this.#note(slot, wish.request, { cached });
    return decided;
  }

  #note(slot: string, request: ChoiceRequest, { cached }: { readonly cached: boolean }): void {
    const view = this.#toView(request, { state: "decided", cached });
    try {
      this.#save({ ...this.#choices, slots: { ...this.#choices.slots, [slot]: view } });
    } catch (error) {
      // The decision stands on numbers that are saved already; only what is shown would be older after a restart.
      this.#options.logger.warn("a choice could not be noted", { slot, reason: toErrorMessage(error) });
    }
  }

  #forget(slot: string): void {
    if (this.#choices.slots[slot] === undefined) return;
    const { [slot]: _, ...slots } = this.#choices.slots;
    this.#save({ ...this.#choices, slots });
  }

  #begin(slot: string, task: Task): void {
    this.#tasks.set(slot, task);
    const { logger, clock, random } = this.#options;
    this.#turn = this.#turn.then(async () => {
      for (let tries = 0; !task.abort.signal.aborted; tries += 1) {
        try {
          if (this.#endLate(slot, task)) return;
          return await this.#run(slot, task);
        } catch (error) {
          if (task.abort.signal.aborted) return;
          // A full disk of the record itself, for instance: the slot keeps serving what it has, and this tries again.
          logger.error("a choice was interrupted", { slot, reason: toErrorMessage(error) });
          const delayMs = toBackoffDelayMs(retry, tries, random()) + 250;
          await wait(delayMs, undefined, { signal: task.abort.signal }).catch(() => clock.monotonicMs());
        }
      }
    });
  }

  /** A release that is over before its candidates are here is not taken; one that was chosen from before is measured on. */
  #endLate(slot: string, task: Task): boolean {
    const { request, job } = task.wish;
    const late = this.#decide(request).chosen === null ? this.#options.judgeTime(request.releaseId) : null;
    if (late === null) return false;
    this.#tasks.delete(slot);
    task.onDecided({ kind: "refused", job, end: { state: "failed", ...late } });
    return true;
  }

  async #run(slot: string, task: Task): Promise<void> {
    const { logger, onChange, clock } = this.#options;
    const { request } = task.wish;
    const { signal } = task.abort;
    if (signal.aborted) return;
    // Nothing passed the last time, or something was left out: those are tried again, what is known is kept.
    const hopeless = this.#decide(request).chosen === null && this.#decide(request).complete;
    this.#update(request, ({ measured }) => ({
      skipped: [],
      measured: hopeless ? measured.filter(({ failure }) => failure === null) : measured,
    }));
    onChange();
    const { golden } = request.content.selfTest;
    if (golden !== null) await this.#fetchGolden(golden, signal);
    for (const build of toPlanned(request)) {
      const { digest } = build.artifact;
      if (this.#entry(request).measured.some((one) => one.digest === digest)) continue;
      const problem = await this.#bring(request, build, signal);
      if (problem === null) await this.#measure(request, build, signal);
      else
        this.#update(request, ({ skipped }) => ({ skipped: [...skipped, { digest, reason: problem.slice(0, 240) }] }));
      if (signal.aborted) return;
      const numbers = this.#entry(request).measured.find((one) => one.digest === digest);
      logger.info("candidate measured", { slot, digest, failure: problem ?? numbers?.failure ?? null });
      onChange();
    }
    this.#tasks.delete(slot);
    const decision = this.#decide(request);
    const decided = this.#settle(slot, { wish: task.wish, decision, cached: false });
    logger.info("build chosen", { slot, digest: decision.chosen?.artifact.digest ?? null, atMs: clock.nowMs() });
    task.onDecided(decided);
    onChange();
  }

  async #fetchGolden(golden: ArtifactReference, signal: AbortSignal): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.#options.fetch(golden, signal);
      } catch (error) {
        await this.#pause(error, tries, signal);
      }
    }
  }

  async #pause(error: unknown, tries: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // Whether the release may still be taken is asked again before the next try.
    if (tries >= maxFetchTries) throw error;
    this.#options.logger.warn("a candidate could not be fetched", { reason: toErrorMessage(error) });
    await wait(250 + toBackoffDelayMs(retry, tries, this.#options.random()), undefined, { signal });
  }

  /** Null once the candidate is here, else why it is left out. The first candidate is waited for: something must run. */
  async #bring(request: ChoiceRequest, build: Build, signal: AbortSignal): Promise<string | null> {
    const { fetch, freeBytes } = this.#options;
    const { digest, sizeBytes } = build.artifact;
    for (let tries = 0; ; tries += 1) {
      const optional = this.#entry(request).measured.some(({ failure }) => failure === null);
      const free = await freeBytes();
      const needed = sizeBytes + reserveBytes;
      if (optional && free < needed) return `the disk has ${free} bytes free, ${needed} are needed`;
      try {
        await fetch(build.artifact, signal);
        return null;
      } catch (error) {
        const code = toErrorCode(error) ?? "download_failed";
        const wrong = code === "digest_mismatch" || code === "length_mismatch";
        const final = hasErrorCode(error, "disk_full") || tries + 1 >= maxFetchTries;
        if ((optional && final) || (wrong && tries + 1 >= maxFetchTries))
          return `${code}: ${digest.slice(0, 19)} could not be fetched: ${toErrorMessage(error)}`;
        await this.#pause(error, tries, signal);
      }
    }
  }

  async #measure(request: ChoiceRequest, build: Build, signal: AbortSignal): Promise<void> {
    const { digest } = build.artifact;
    const { running } = this.#entry(request);
    const tries = running?.digest === digest ? running.tries : 0;
    if (tries >= maxCutShort) {
      const failed = toFailed(build, `crash: the agent ended ${tries} times while this build was measured`);
      return this.#keep(request, failed);
    }
    this.#update(request, () => ({ running: { digest, tries: tries + 1 } }));
    try {
      const measured = await this.#options.measure(request, build, signal);
      const server = this.#options.readServer(request.slot, build);
      if (!signal.aborted) return this.#keep(request, { ...measured, ...(server === null ? {} : { server }) });
      this.#update(request, () => ({ running: null }));
    } catch (error) {
      if (signal.aborted) return this.#update(request, () => ({ running: null }));
      this.#keep(request, toFailed(build, `${toErrorCode(error) ?? "unknown"}: ${toErrorMessage(error)}`));
    }
  }

  #keep(request: ChoiceRequest, measurement: Measurement): void {
    const measuredAtMs = Math.max(1_000_000_000_000, this.#options.clock.nowMs());
    this.#update(request, ({ measured }) => ({ measured: [...measured, measurement], measuredAtMs, running: null }));
  }
}

function toDecidedWish({ job, request, soakMs }: ChooseWish, { chosen, candidates }: Decision): Wish {
  if (chosen !== null)
    return { kind: "install", job, build: toInstalledBuild(request.releaseId, request.content, chosen), soakMs };
  const reasons = candidates.map(({ buildDigest, reason }) => `${buildDigest.slice(7, 19)}: ${reason}`);
  const reason = `none of ${candidates.length} builds passed on this device: ${reasons.join("; ")}`.slice(0, 500);
  return { kind: "refused", job, end: { state: "failed", code: "no_build_passed", reason } };
}
