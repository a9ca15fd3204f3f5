import { hasErrorCode, toBackoffDelayMs, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { ServingResults } from "../serve/ipc.ts";
import type { ServingExit } from "../serving/serving-host.ts";
import { createCrashCounter } from "../serving/crash-counter.ts";
import { applySlotEvent, type SlotEvent } from "./life-cycle.ts";
import { JobNews } from "./job-news.ts";
import { PlacementNews } from "./placement.ts";
import { isSameRequest, planSlot, type SlotFacts, type Step, type Wish } from "./plan.ts";
import type { SlotPorts, SlotView } from "./slot-ports.ts";
import { createSlotRecord, type InstalledBuild, type SlotRecord } from "./slot-record.ts";
import { executeStep } from "./steps.ts";
import { createTrialHealth, type TrialCounts } from "./trial-health.ts";

interface Load {
  readonly loadId: string;
  readonly digest: string;
  readonly build: InstalledBuild;
  placement: ServingResults["load"]["placement"];
}

interface Fetch {
  readonly digest: string;
  readonly abort: AbortController;
  state: "running" | "done";
}

const retry = { baseMs: 1_000, maxMs: 300_000 };
/** Crashes of a confirmed build within five minutes that send the slot back to the build before it. */
const crashLoopLimit = 5;
const maxTries = 3;

/** One slot: runs the planned steps one after the other, and remembers in memory only what a restart may forget. */
export class SlotEngine {
  readonly ports: SlotPorts;
  readonly #crashes = createCrashCounter();
  readonly #health = createTrialHealth();
  readonly #tries = new Map<string, number>();
  readonly #jobNews = new JobNews();
  readonly #placementNews: PlacementNews;
  #record: SlotRecord;
  #wish: Wish | null = null;
  #loads: Load[] = [];
  #servedLoadId: string | null = null;
  #shadowLoadId: string | null = null;
  #stopDelivered = false;
  #fetch: Fetch | null = null;
  #progress: number | null = null;
  #retryAtMs = 0;
  #trialSinceMs: number | null = null;
  #trouble: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;
  #loadNumber = 0;

  constructor(slot: string, ports: SlotPorts) {
    this.ports = ports;
    this.#record = applySlotEvent(ports.saved.load() ?? createSlotRecord(slot), { kind: "client-lifted" });
    this.#placementNews = new PlacementNews(slot, (data) => ports.emit(data));
  }

  get record(): SlotRecord {
    return this.#record;
  }

  get view(): SlotView {
    const served = this.#loads.find((load) => load.loadId === this.#servedLoadId);
    const placement = served?.placement ?? null;
    return {
      record: this.#record,
      served: served?.build ?? null,
      servedLoadId: this.#servedLoadId,
      progressRatio: this.#fetch?.state === "running" ? this.#progress : null,
      placement,
      shadowing: this.#record.candidate?.phase === "shadowing" && this.#shadowLoadId !== null,
      trouble: this.ports.held() ?? this.ports.serving.trouble ?? this.#trouble,
    };
  }

  setWish(wish: Wish): void {
    const before = this.#wish;
    this.#wish = wish;
    const changed = before === null || !isSameRequest(before.job, wish.job);
    if (changed && before !== null) this.#resetFetch();
    if (changed) {
      this.#retryAtMs = 0;
      this.#tries.clear();
    }
    this.wake();
  }

  /** Plans and executes until there is nothing to do. Calls while it runs make it look again. */
  wake(): void {
    this.#again = true;
    if (this.#closed) return;
    this.#running ??= this.#run()
      .catch((error: unknown) => {
        this.#noteFailure(error);
        this.wakeAt(this.ports.clock.monotonicMs() + 1_000);
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#again && !this.#closed) this.wake();
      });
  }

  /** Of a record that cannot be saved, for instance: what was to follow is planned again from the one that is. */
  #noteFailure(error: unknown): void {
    this.ports.logger.error("a slot step failed", { slot: this.#record.slot, reason: toErrorMessage(error) });
  }

  wakeAt(monotonicMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const delayMs = Math.min(Math.max(0, monotonicMs - this.ports.clock.monotonicMs()), 60_000);
    this.#timer = setTimeout(() => this.wake(), delayMs + 1);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#fetch?.abort.abort();
    await this.#running;
  }

  /** Saves the record that follows, then tells the plane. Every side effect comes after this. */
  apply(event: SlotEvent): void {
    const before = this.#record;
    const next = applySlotEvent(before, event);
    if (next === before) return;
    this.ports.saved.save(next);
    this.#record = next;
    if (next.job !== null && (next.job.state !== before.job?.state || next.job.code !== before.job.code)) {
      const { state, code, reason } = next.job;
      if (this.#jobNews.isNews(next.job)) this.ports.emit({ kind: "job-step", slot: next.slot, state, code, reason });
      this.ports.logger.info("job step", { slot: next.slot, state, code, reason });
    }
    this.ports.onChange();
  }

  #toFacts(): SlotFacts {
    return {
      nowMs: this.ports.clock.monotonicMs(),
      servingReady: this.ports.serving.ready,
      loads: this.#loads,
      servedLoadId: this.#servedLoadId,
      shadowLoadId: this.#shadowLoadId,
      stopDelivered: this.#stopDelivered,
      held: this.ports.held(),
      fetch: this.#fetch,
      retryAtMs: this.#retryAtMs,
      trialSinceMs: this.#trialSinceMs,
    };
  }

  async #run(): Promise<void> {
    // A planner that never arrives would be a defect; the bound keeps it from turning the process into a heater.
    for (let count = 0; this.#again && count < 200 && !this.#closed;) {
      this.#again = false;
      for (; count < 200 && !this.#closed; count += 1) {
        const step: Step = planSlot(this.#record, this.#wish, this.#toFacts());
        if (step.kind === "idle") break;
        if (step.kind === "wait") {
          this.wakeAt(step.untilMs);
          break;
        }
        await executeStep(this, step);
      }
    }
  }

  startFetch(build: InstalledBuild): void {
    const late = this.ports.judgeTime(build.releaseId);
    if (late !== null) return this.apply({ kind: "failed", ...late });
    const abort = new AbortController();
    const fetch: Fetch = { digest: build.artifact.digest, abort, state: "running" };
    // First: where it cannot be saved, nothing has begun, and the step is planned again.
    this.apply({ kind: "downloading" });
    this.#fetch = fetch;
    const artifacts = build.golden === null ? [build.artifact] : [build.artifact, build.golden];
    const run = async () => {
      for (const artifact of artifacts)
        await this.ports.fetch(artifact, abort.signal, (ratio) => {
          if (artifact !== build.artifact) return;
          const whole = Math.floor(ratio * 10) !== Math.floor((this.#progress ?? 0) * 10);
          this.#progress = ratio;
          if (whole) this.ports.onChange();
        });
    };
    run()
      .then(() => {
        fetch.state = "done";
      })
      .catch((error: unknown) => {
        if (this.#fetch !== fetch) return;
        this.#fetch = null;
        if (!hasErrorCode(error, "download_canceled")) this.#onFetchFailed(error);
      })
      .catch((error: unknown) => this.#noteFailure(error))
      .finally(() => {
        this.#progress = null;
        this.wake();
      });
  }

  /** Called once the fetched files are in the store under their digests. */
  acceptFetched(): void {
    const digest = this.#record.candidate?.build.artifact.digest;
    // The bytes under this digest are new and were checked: what was held against the old ones is over.
    if (digest !== undefined && this.#record.distrusted.includes(digest)) this.apply({ kind: "repaired", digest });
    this.apply({ kind: "downloaded" });
    this.apply({ kind: "verified" });
    this.#resetFetch();
    this.#tries.clear();
  }

  #resetFetch(): void {
    this.#fetch?.abort.abort();
    this.#fetch = null;
  }

  #onFetchFailed(error: unknown): void {
    const code = toErrorCode(error) ?? "download_failed";
    const reason = toErrorMessage(error);
    // Wrong bytes from every mirror are tried a few times (a captive portal goes away); the network may be away for ever.
    const permanent = code === "digest_mismatch" || code === "length_mismatch";
    const tries = this.#countTry(permanent ? "bytes" : "network");
    if (permanent && tries >= maxTries) return this.apply({ kind: "failed", code, reason });
    const delayMs = code === "disk_full" ? 15_000 : 250 + toBackoffDelayMs(retry, tries - 1, this.ports.random());
    this.#retryAtMs = this.ports.clock.monotonicMs() + delayMs;
    this.apply({ kind: "waiting", code, reason });
  }

  #countTry(what: string): number {
    const tries = (this.#tries.get(what) ?? 0) + 1;
    this.#tries.set(what, tries);
    return tries;
  }

  toNewLoadId(digest: string): string {
    this.#loadNumber += 1;
    return `${this.#record.slot}.${digest.slice(7, 19)}.${this.#loadNumber}`;
  }

  addLoad(load: Load): void {
    this.#loads.push(load);
    this.#tries.delete(`load ${load.digest}`);
    this.#placementNews.note(load.digest, load.placement);
  }

  /** A load runs elsewhere than before. */
  onPlacement(loadId: string, placement: Load["placement"]): void {
    const load = this.#loads.find((one) => one.loadId === loadId);
    if (load === undefined) return;
    load.placement = placement;
    this.#placementNews.note(load.digest, placement);
    this.ports.onChange();
  }

  removeLoad(loadId: string): void {
    this.#loads = this.#loads.filter((load) => load.loadId !== loadId);
    if (this.#servedLoadId === loadId) this.#servedLoadId = null;
    if (this.#shadowLoadId === loadId) this.#shadowLoadId = null;
  }

  /** The serving process gives this load a share of the slot's input. */
  setShadow(loadId: string): void {
    this.#shadowLoadId = loadId;
    this.apply({ kind: "shadowing" });
    this.ports.onChange();
  }

  setServed(loadId: string | null): void {
    this.#servedLoadId = loadId;
    if (this.#shadowLoadId === loadId) this.#shadowLoadId = null;
    this.#stopDelivered = loadId === null;
    this.#trouble = null;
    // A build that does not serve proves nothing: its trial begins anew when it does.
    if (this.#record.candidate?.phase === "trial") {
      this.#trialSinceMs = loadId === null ? null : this.ports.clock.monotonicMs();
      this.#health.begin();
    }
    this.ports.onChange();
  }

  /** A build that should be served does not load: try again later, and give way to the build before it in the end. */
  onServeFailed(build: InstalledBuild, error: unknown): void {
    const code = toErrorCode(error) ?? "load_failed";
    const { digest } = build.artifact;
    this.#trouble = `${code}: ${toErrorMessage(error)}`.slice(0, 256);
    const slot = this.#record.slot;
    if (code === "digest_mismatch" || code === "length_mismatch" || code === "file_unreadable") {
      this.apply({ kind: "distrusted", digest });
      const name = `slot/${slot}`;
      this.ports.emit({ kind: "integrity-failed", slot, buildDigest: digest, name, expected: digest, actual: null });
      return;
    }
    const tries = this.#countTry(`load ${digest}`);
    if (code !== "serving_unavailable" && tries >= maxTries) this.fallBack(`${code} ${tries} times`);
    this.#retryAtMs = this.ports.clock.monotonicMs() + 100 + toBackoffDelayMs(retry, tries - 1, this.ports.random());
    this.ports.onChange();
  }

  /** The serving process died under a step of the candidate. True when another load is to blame and the step may run again. */
  isOthersFault(loadId: string, inflight: readonly string[]): boolean {
    return inflight.length > 0 && !inflight.includes(loadId) && this.#countTry("staging") < maxTries;
  }

  /** Confirmed build → the one before it. False when there is none. */
  fallBack(reason: string): boolean {
    const from = this.#record.active;
    if (this.#record.candidate?.phase === "trial") {
      const verdict = { state: "rolled_back" as const, code: "commanded", reason };
      this.apply({ kind: "reverting", verdict });
      return true;
    }
    if (this.#record.previous === null || from === null) return false;
    this.apply({ kind: "fell-back" });
    const told = { slot: this.#record.slot, buildDigest: from.artifact.digest, reason: reason.slice(0, 256) };
    this.ports.emit({ kind: "reverted", ...told });
    return true;
  }

  /** All loads are gone with the process; a build on trial that was in flight goes back at once. */
  onServingExit(exit: ServingExit): void {
    const servedLoad = this.#loads.find((load) => load.loadId === this.#servedLoadId);
    const mine = this.#loads.filter((load) => exit.inflight.includes(load.loadId) || load.loadId === exit.hungLoadId);
    this.lastExit = exit;
    this.#loads = [];
    this.#servedLoadId = null;
    this.#shadowLoadId = null;
    this.#stopDelivered = false;
    this.#trialSinceMs = null;
    this.#trouble = `the serving process ended (${exit.exit})`;
    if (exit.cause !== "requested" && !exit.beforeReady) this.#blame(exit, mine, servedLoad);
    this.ports.onChange();
    this.wake();
  }

  /** The end that the running request died of, for the step that was waiting on it. */
  lastExit: ServingExit | null = null;

  #blame(exit: ServingExit, mine: readonly Load[], served: Load | undefined): void {
    const nobodyNamed = exit.inflight.length === 0 && exit.hungLoadId === null;
    const { candidate, slot } = this.#record;
    const code = exit.cause === "hang" ? "hang" : "crash";
    const trialDigest = candidate?.phase === "trial" ? candidate.build.artifact.digest : undefined;
    const named = mine.map((load) => load.digest);
    // Of two builds, the one that is not proved yet: the one that serves has done so before.
    if (candidate?.phase === "shadowing" && (nobodyNamed || named.includes(candidate.build.artifact.digest))) {
      this.apply({ kind: "failed", code, reason: `the serving process ended (${exit.exit}) beside the shadow` });
      if (nobodyNamed) named.push(candidate.build.artifact.digest);
    }
    if (trialDigest !== undefined && (nobodyNamed || named.includes(trialDigest))) {
      const reason = `the serving process ended (${exit.exit}) while the new build was on trial`;
      this.apply({ kind: "reverting", verdict: { state: "rolled_back", code, reason } });
    }
    const culprits = named.length > 0 ? named : nobodyNamed && served !== undefined ? [served.digest] : [];
    for (const digest of new Set(culprits)) {
      const crashes = this.#crashes.count(digest, this.ports.clock.monotonicMs());
      if (exit.cause === "hang")
        this.ports.emit({ kind: "serving-hung", slot, buildDigest: digest, sinceMs: exit.hungSinceMs ?? 0 });
      else this.ports.emit({ kind: "serving-crashed", slot, buildDigest: digest, exit: exit.exit, restarts: crashes });
      if (digest === this.#record.active?.artifact.digest && crashes >= crashLoopLimit) {
        this.#crashes.forget(digest);
        this.fallBack(`${crashes} crashes within five minutes`);
      }
    }
  }

  /** Counts of the build on trial since the last call; too many errors of its own send it back. */
  onTrialCounts(digest: string, counts: TrialCounts): void {
    const { candidate } = this.#record;
    if (candidate?.phase !== "trial" || candidate.build.artifact.digest !== digest) return;
    const reason = this.#health.add(counts);
    if (reason === null) return;
    this.apply({ kind: "reverting", verdict: { state: "rolled_back", code: "unhealthy", reason } });
    this.wake();
  }

  get onTrial(): boolean {
    return this.#record.candidate?.phase === "trial";
  }

  /** Forgets the load of this digest so that it is loaded again from disk. */
  async reload(digest: string): Promise<void> {
    for (const load of this.#loads.filter((one) => one.digest === digest)) {
      if (load.loadId === this.#servedLoadId) {
        await this.ports.serving.request({ kind: "stop-serving", slot: this.#record.slot, reason: "being repaired" });
        this.#servedLoadId = null;
      }
      await this.ports.serving.request({ kind: "unload", loadId: load.loadId });
      this.removeLoad(load.loadId);
    }
    this.#stopDelivered = false;
    this.#retryAtMs = 0;
    this.wake();
  }
}
