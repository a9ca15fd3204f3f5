import { toErrorCode, toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import type { EventData, Evidence, Measurement } from "@fairlead/protocol";
import { statSync } from "node:fs";
import { measureFile } from "../models/artifact-store.ts";
import type { EvidenceChain } from "./evidence-chain.ts";
import type { Target } from "./targets.ts";

export interface IntegrityMonitorOptions {
  readonly listTargets: () => readonly Target[];
  readonly chain: EvidenceChain;
  /** A model file is not what it claims to be. */
  readonly onModelFailed: (slot: string, digest: string) => void;
  readonly emit: (data: EventData) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly periodMs: number;
  readonly checkMs: number;
}

interface Known {
  readonly stamp: string;
  readonly sizeBytes: number;
  readonly measurement: Measurement;
  readonly atMs: number;
}

/** Bigger files are hashed again only when their stamp changed or this long passed, so that watching costs little. */
const bigBytes = 8 * 1_048_576;
const bigEveryMs = 600_000;
const fullEveryMs = 3_600_000;

/** Size, times and inode: what nobody changes by accident when the content changes. */
function toStamp(path: string): { readonly stamp: string; readonly sizeBytes: number } {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return { stamp: "absent", sizeBytes: 0 };
  const stamp = `${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
  return { stamp, sizeBytes: Number(found.size) };
}

const toKey = (target: Pick<Target, "kind" | "name">) => `${target.kind}:${target.name}`;
const isFailing = ({ expected, actual }: Measurement) => expected !== null && expected !== actual;

/** Measures the agent's files, the models and the configuration: at start, steadily, and at once when one changes. */
export class IntegrityMonitor implements Service {
  readonly name = "integrity";
  readonly #options: IntegrityMonitorOptions;
  readonly #known = new Map<string, Known>();
  /** What the plane knows by the evidence so far; null until a full list was sent. */
  #told: Map<string, Measurement> | null = null;
  #fullAtMs = 0;
  #periodic: NodeJS.Timeout | undefined;
  #check: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: IntegrityMonitorOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { periodMs, checkMs } = this.#options;
    await this.measureNow("start");
    this.#periodic = setInterval(() => void this.measureNow("periodic"), periodMs);
    this.#check = setInterval(() => this.check(), checkMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#periodic);
    clearInterval(this.#check);
    await this.#running;
  }

  /** Never rejects. */
  measureNow(trigger: Evidence["trigger"]): Promise<void> {
    this.#running = this.#running
      .then(() => (this.#stopped ? undefined : this.#measure(trigger)))
      .catch((error: unknown) =>
        this.#options.logger.error("the files could not be measured", { reason: toErrorMessage(error) }),
      );
    return this.#running;
  }

  /** Compares stamps only; what differs is measured at once. */
  check(): void {
    const changed = this.#options.listTargets().some((target) => {
      const known = this.#known.get(toKey(target));
      return known === undefined || known.measurement.expected !== target.expected || this.#isTouched(target, known);
    });
    if (changed) void this.measureNow("changed");
  }

  #isTouched(target: Target, known: Known): boolean {
    try {
      return toStamp(target.path).stamp !== known.stamp;
    } catch {
      return true;
    }
  }

  async #measure(trigger: Evidence["trigger"]): Promise<void> {
    const targets = this.#options.listTargets();
    const keys = new Set(targets.map(toKey));
    for (const key of this.#known.keys()) if (!keys.has(key)) this.#known.delete(key);
    for (const target of targets) await this.#measureOne(target, trigger);
    this.#tell(trigger, targets.map(toKey));
  }

  async #measureOne(target: Target, trigger: Evidence["trigger"]): Promise<void> {
    const { clock } = this.#options;
    const known = this.#known.get(toKey(target));
    const nowMs = clock.monotonicMs();
    const same =
      known !== undefined && known.measurement.expected === target.expected && !this.#isTouched(target, known);
    const big = known !== undefined && known.sizeBytes > bigBytes && nowMs - known.atMs < bigEveryMs;
    if (same && trigger !== "start" && trigger !== "command" && (trigger !== "periodic" || big)) return;
    const { kind, name, path, expected } = target;
    let stamp = "unreadable";
    let sizeBytes = 0;
    let actual: string | null = null;
    let reason: string | null = null;
    try {
      // Before the content: a change in between shows at the next comparison.
      ({ stamp, sizeBytes } = toStamp(path));
      actual = (await measureFile(path)).digest;
    } catch (error) {
      reason = (toErrorCode(error) ?? toErrorMessage(error)).slice(0, 200);
    }
    const measurement: Measurement = { kind, name, expected, actual, reason };
    this.#known.set(toKey(target), { stamp, sizeBytes, measurement, atMs: nowMs });
    this.#judge(target, measurement, known?.measurement);
  }

  #judge({ slot }: Target, now: Measurement, before: Measurement | undefined): void {
    const { emit, onModelFailed, logger } = this.#options;
    const { name, expected, actual } = now;
    if (slot === null || expected === null) {
      if (before !== undefined && before.actual !== actual) logger.warn("a measured file changed", { name, actual });
      return;
    }
    const failedBefore = before !== undefined && before.expected === expected && isFailing(before);
    if (isFailing(now)) {
      if (!failedBefore || before.actual !== actual) {
        logger.error("a model file is not what it should be", { name, expected, actual, reason: now.reason });
        emit({ kind: "integrity-failed", slot, buildDigest: expected, name, expected, actual });
      }
      onModelFailed(slot, expected);
    } else if (failedBefore) {
      logger.info("a model file is as it should be again", { name });
      emit({ kind: "integrity-restored", slot, buildDigest: expected, name });
    }
  }

  /** The full list at first, when what is measured changed, and now and then; otherwise what differs. */
  #tell(trigger: Evidence["trigger"], keys: readonly string[]): void {
    const { chain, clock, logger } = this.#options;
    const all = keys.flatMap((key) => {
      const known = this.#known.get(key);
      return known === undefined ? [] : [[key, known.measurement] as const];
    });
    const told = this.#told;
    const sameSet = told !== null && told.size === all.length && all.every(([key]) => told.has(key));
    const nowMs = clock.monotonicMs();
    const full = !sameSet || trigger === "command" || nowMs - this.#fullAtMs > fullEveryMs;
    const changed = all.filter(([key, one]) => JSON.stringify(told?.get(key)) !== JSON.stringify(one));
    if (!full && changed.length === 0 && trigger === "changed") return;
    const measurements = (full ? all : changed).map(([, one]) => one);
    if (!chain.add(trigger, measurements, full)) {
      logger.warn("evidence waits for room in the outbox");
      return;
    }
    if (full) this.#fullAtMs = nowMs;
    this.#told = new Map(all);
  }
}
