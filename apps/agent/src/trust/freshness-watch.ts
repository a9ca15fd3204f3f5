import { toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import type { EventData } from "@fairlead/protocol";
import { judgeFreshness, type Freshness, type FreshnessPolicy } from "./freshness.ts";

export interface FreshnessWatchOptions {
  readonly policy: FreshnessPolicy;
  /** How often somebody is asked whether anything is newer. */
  readonly refreshMs: number;
  /** Asks, and keeps what was verified. Rejects when nobody can be reached or what is said cannot be believed. */
  readonly refresh: () => Promise<void>;
  /** End of the last statement that was verified, from disk; null when there is none that can be read. */
  readonly readUntilMs: () => Promise<number | null>;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly emit: (data: EventData) => void;
  /** `held` has changed. */
  readonly onChange: () => void;
  readonly logger: Logger;
}

const checkMs = 60_000;

/** Knows how old the newest statement about the repository is, and holds serving back when the policy says so. */
export class FreshnessWatch implements Service {
  readonly name = "freshness";
  readonly #options: FreshnessWatchOptions;
  #freshness: Freshness | null = null;
  #timer: NodeJS.Timeout | undefined;
  #askAtMs = 0;
  #closed = false;

  private constructor(options: FreshnessWatchOptions) {
    this.#options = options;
  }

  /** Judged before anything is served. */
  static async open(options: FreshnessWatchOptions): Promise<FreshnessWatch> {
    const watch = new FreshnessWatch(options);
    await watch.judge();
    return watch;
  }

  /** Why nothing may be served now; null while it may. */
  get held(): string | null {
    return this.#freshness?.held ?? null;
  }

  async start(): Promise<void> {
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Looks again at what is on disk; to be called after every question that was answered. */
  async judge(): Promise<void> {
    const { policy, readUntilMs, nowMs, emit, onChange, logger } = this.#options;
    const before = this.#freshness;
    const now = judgeFreshness(await readUntilMs(), nowMs(), policy);
    this.#freshness = now;
    const { state, untilMs, reason } = now;
    // A device that has never been told anything yet has nothing that could be stale.
    const isNews = before === null ? state !== "fresh" && untilMs !== null : before.state !== state;
    if (isNews) {
      logger.warn("freshness", { state, reason });
      emit({ kind: "freshness", state, untilMs: untilMs ?? 0, reason: reason.slice(0, 256) });
    }
    // The first look is made before anybody is there to be told.
    if (before !== null && before.held !== now.held) onChange();
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#check(), delayMs);
    this.#timer.unref();
  }

  async #check(): Promise<void> {
    const { refresh, refreshMs, nowMs, random, logger } = this.#options;
    const isDue = nowMs() >= this.#askAtMs || this.#freshness?.state !== "fresh";
    try {
      if (isDue) {
        await refresh();
        // Spread, so that a fleet does not ask as one.
        this.#askAtMs = nowMs() + refreshMs * (0.75 + 0.5 * random());
      }
    } catch (error) {
      logger.info("nobody says what is newest", { reason: toErrorMessage(error) });
    }
    await this.judge().catch((error: unknown) => logger.error("freshness", { reason: toErrorMessage(error) }));
    this.#schedule(Math.min(checkMs, refreshMs) * (0.75 + 0.5 * random()));
  }
}
