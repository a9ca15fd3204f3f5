import { hasErrorCode } from "@fairlead/kernel";
import type { InferResult, LoadedModel } from "../port.ts";
import type { Tensor } from "../tensor.ts";
import { toJoinKey } from "./batch-plan.ts";
import { concatenateRows, splitRows } from "./rows.ts";
import { Schedule } from "./schedule.ts";
import type { Refusal, Run } from "./schedule-state.ts";
import { SchedulerError } from "./scheduler-error.ts";
import { toMaxBatchSize, type ModelSettings, type Priority } from "./settings.ts";

export interface DeviceSchedulerOptions {
  /** Runs that may execute at the same time: the cores given to it, or 1 for one accelerator. */
  readonly lanes: number;
  /** Monotonic milliseconds. */
  nowMs(): number;
}

export interface ScheduledModelOptions {
  readonly id: string;
  readonly slot: string;
  /** Name in messages. */
  readonly name: string;
  readonly settings: ModelSettings;
  /** The same model, loaded as often as it may run at once. */
  readonly instances: readonly [LoadedModel, ...LoadedModel[]];
  /** Longest time of one run. */
  readonly deadlineMs: number;
  /** Called before the first of several runs begins and after the last has ended. */
  onBusy(busy: boolean): void;
  onRunFailed(error: unknown, sinceMs: number): void;
}

export interface ScheduledAsk {
  readonly priority: Priority;
  /** How long the request may wait before its run begins; null for as long as it takes. */
  readonly timeoutMs: number | null;
  /** Whose share of the slot it uses; null for that of all who give no name. */
  readonly client: string | null;
  /** Offered the memory of large inputs once it is no longer read. */
  readonly onReleased: ((buffer: ArrayBuffer) => void) | null;
  /** See `InferOptions`. */
  readonly alone: boolean;
  /** Told how to take the request out again, which does nothing once its run has begun. */
  readonly onQueued?: (withdraw: () => void) => void;
}

export interface ScheduledResult extends InferResult {
  /** This request's part of the run's time: by rows, when requests were joined. */
  readonly shareUs: number;
  /** From asking to the answer, less the run. */
  readonly queueUs: number;
  /** Rows of the run, those of others included. */
  readonly batchRows: number;
  /** True for one request of each run, so that runs can be counted. */
  readonly leads: boolean;
}

export interface ScheduledModel {
  /** Requests that wait or run. */
  readonly pending: number;
  /** The tensors are consumed. Rejects with SchedulerError or, once it runs, RuntimeError. */
  infer(inputs: readonly Tensor[], ask: ScheduledAsk): Promise<ScheduledResult>;
  /** Runs that begin from now on use these, as many as before; those that run end where they are. */
  replace(instances: readonly [LoadedModel, ...LoadedModel[]]): void;
  /** Refuses new requests and waits for those that wait or run; the instances stay open. */
  close(): Promise<void>;
}

interface Job {
  readonly inputs: readonly Tensor[];
  readonly askedMs: number;
  readonly alone: boolean;
  readonly onReleased: ((buffer: ArrayBuffer) => void) | null;
  readonly resolve: (result: ScheduledResult) => void;
  readonly reject: (error: unknown) => void;
}

interface Entry {
  readonly options: ScheduledModelOptions;
  instances: ScheduledModelOptions["instances"];
  joins: boolean;
  runs: number;
  closing: boolean;
  onIdle: (() => void) | null;
}

/** Carries out what `Schedule` decides: one per device. */
export class DeviceScheduler {
  readonly #schedule: Schedule<Job>;
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, Entry>();
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #soon = false;

  constructor(options: DeviceSchedulerOptions) {
    this.#schedule = new Schedule({ lanes: options.lanes });
    this.#nowMs = () => options.nowMs();
  }

  /** While the device is hot or throttles, batch work stands still. */
  setThrottled(throttled: boolean): void {
    this.#schedule.setThrottled(throttled);
    this.#pump();
  }

  open(options: ScheduledModelOptions): ScheduledModel {
    const { id, slot, settings, instances } = options;
    const joins = toMaxBatchSize(instances[0], settings) > 0;
    const effective = joins ? settings : { ...settings, maxBatchSize: 1 };
    this.#schedule.add(id, slot, { settings: effective, instances: instances.length });
    const entry: Entry = { options, instances, joins, runs: 0, closing: false, onIdle: null };
    this.#entries.set(id, entry);
    const pending = () => this.#schedule.pending(id);
    return {
      get pending() {
        return pending();
      },
      infer: (inputs, ask) => this.#ask(entry, inputs, ask),
      replace: (next) => void (entry.instances = next),
      close: () => this.#close(entry),
    };
  }

  async #close(entry: Entry): Promise<void> {
    const { id } = entry.options;
    if (!this.#entries.has(id)) return;
    entry.closing = true;
    if (this.#schedule.pending(id) > 0) await new Promise<void>((resolve) => (entry.onIdle = resolve));
    this.#schedule.remove(id);
    this.#entries.delete(id);
  }

  #ask(entry: Entry, inputs: readonly Tensor[], ask: ScheduledAsk): Promise<ScheduledResult> {
    return new Promise((resolve, reject) => {
      const { id, name } = entry.options;
      if (entry.closing) throw new SchedulerError("model_closed", `model '${name}' is closed`);
      const askedMs = this.#nowMs();
      const { onReleased, alone } = ask;
      const job: Job = { inputs, askedMs, alone, onReleased, resolve, reject };
      const enqueued = this.#schedule.enqueue(
        {
          modelId: id,
          payload: job,
          priority: ask.priority,
          client: ask.client ?? "",
          rows: Math.max(1, inputs[0]?.shape[0] ?? 1),
          joinKey: entry.joins ? toJoinKey(inputs) : null,
          expiresMs: ask.timeoutMs === null ? Number.POSITIVE_INFINITY : askedMs + ask.timeoutMs,
        },
        askedMs,
      );
      if (enqueued.kind === "refused") refuse(job, toRefusal(entry.options, enqueued.code));
      else if (enqueued.kind === "displaced") refuse(enqueued.ticket.payload, toRefusal(entry.options, enqueued.code));
      if (enqueued.kind !== "refused") ask.onQueued?.(() => this.#withdraw(entry, job));
      // Requests of the same turn of the event loop are joined without waiting for one another.
      if (entry.joins) this.#pumpSoon();
      else this.#pump();
    });
  }

  #withdraw({ options: { id } }: Entry, job: Job): void {
    if (!this.#schedule.withdraw(id, job)) return;
    refuse(job, new SchedulerError("client_gone", "the client went away before its run began"));
    this.#checkIdle();
  }

  #pumpSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    setImmediate(() => {
      this.#soon = false;
      this.#pump();
    });
  }

  #pump(): void {
    for (;;) {
      const next = this.#schedule.next(this.#nowMs());
      if (next.kind === "wait") return this.#wakeAt(next.untilMs);
      if (next.kind === "run") this.#start(next.run);
      else {
        for (const { payload } of next.tickets) {
          refuse(payload, new SchedulerError("deadline_expired", "the request's timeout passed before its run began"));
        }
        this.#checkIdle();
      }
    }
  }

  #wakeAt(untilMs: number): void {
    if (untilMs === Number.POSITIVE_INFINITY || untilMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = untilMs;
    const delayMs = Math.min(Math.max(1, Math.ceil(untilMs - this.#nowMs())), 2_147_483_647);
    this.#timer = setTimeout(() => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#pump();
    }, delayMs).unref();
  }

  #start(run: Run<Job>): void {
    const entry = this.#entries.get(run.modelId);
    const [first] = run.tickets;
    const instance = entry?.instances[run.instance];
    if (entry === undefined || first === undefined || instance === undefined) return;
    entry.runs += 1;
    if (entry.runs === 1) entry.options.onBusy(true);
    const { deadlineMs } = entry.options;
    const joined = run.tickets.length > 1;
    const startedMs = this.#nowMs();
    const { inputs, onReleased, alone } = first.payload;
    const result = joined
      ? instance.infer(
          concatenateRows(
            instance.inputs,
            run.tickets.map(({ payload }) => payload.inputs),
          ),
          { deadlineMs },
        )
      : instance.infer(inputs, { deadlineMs, alone, ...(onReleased === null ? {} : { onReleased }) });
    result.then(
      (done) => (joined ? this.#endJoined(entry, run, done) : this.#end(entry, run, done)),
      (error: unknown) => this.#fail(entry, run, { error, sinceMs: this.#nowMs() - startedMs }),
    );
  }

  #end(entry: Entry, run: Run<Job>, result: InferResult): void {
    const { outputs, runUs } = result;
    // Nobody waits for what a lone client's run held: its answer goes first.
    const lone = run.tickets.every(({ payload }) => payload.alone) && this.#schedule.pending(run.modelId) === 1;
    if (lone) setImmediate(() => this.#finish(entry, run, runUs));
    else this.#finish(entry, run, runUs);
    for (const { payload } of run.tickets) {
      const queueUs = Math.max(0, (this.#nowMs() - payload.askedMs) * 1_000 - runUs);
      payload.resolve({ outputs, runUs, shareUs: runUs, queueUs, batchRows: run.rows, leads: true });
    }
  }

  #endJoined(entry: Entry, run: Run<Job>, { outputs, runUs }: InferResult): void {
    const parts = splitRows(
      outputs,
      run.tickets.map(({ rows }) => rows),
    );
    if (parts === null) {
      // The model says that its first dimension is free, and still does not answer row by row.
      entry.joins = false;
      return this.#separate(entry, run);
    }
    this.#finish(entry, run, runUs);
    const nowMs = this.#nowMs();
    for (const [index, { payload, rows }] of run.tickets.entries()) {
      const shareUs = (runUs * rows) / run.rows;
      const queueUs = Math.max(0, (nowMs - payload.askedMs) * 1_000 - runUs);
      release(payload);
      const own = { outputs: parts[index] ?? [], shareUs, queueUs, leads: index === 0 };
      payload.resolve({ ...own, runUs, batchRows: run.rows });
    }
  }

  #fail(entry: Entry, run: Run<Job>, failure: { readonly error: unknown; readonly sinceMs: number }): void {
    entry.options.onRunFailed(failure.error, failure.sinceMs);
    if (run.tickets.length > 1 && hasErrorCode(failure.error, "inference_failed")) return this.#separate(entry, run);
    this.#finish(entry, run, null);
    for (const { payload } of run.tickets) payload.reject(failure.error);
  }

  #separate(entry: Entry, run: Run<Job>): void {
    this.#schedule.separate(run);
    this.#endRun(entry);
  }

  #finish(entry: Entry, run: Run<Job>, runUs: number | null): void {
    this.#schedule.finish(run, runUs);
    this.#endRun(entry);
    this.#checkIdle();
  }

  #endRun(entry: Entry): void {
    // The next run begins before this one is counted off: a mark that stays costs no system call.
    this.#pump();
    entry.runs -= 1;
    if (entry.runs === 0) entry.options.onBusy(false);
  }

  #checkIdle(): void {
    for (const entry of this.#entries.values()) {
      if (entry.onIdle === null || this.#schedule.pending(entry.options.id) > 0) continue;
      entry.onIdle();
      entry.onIdle = null;
    }
  }
}

function toRefusal({ name, settings }: ScheduledModelOptions, code: Refusal): SchedulerError {
  const what = `model '${name}' has ${settings.queueLimit} requests in flight`;
  if (code === "overloaded") return new SchedulerError(code, what);
  return new SchedulerError(code, `${what}, and this client holds more of them than its share`);
}

function refuse(job: Job, error: SchedulerError): void {
  release(job);
  job.reject(error);
}

/** As `InferOptions.onReleased` says. */
const minReleasedBytes = 65_536;

/** Tensors of one request may lie in the same memory. */
function release({ inputs, onReleased }: Job): void {
  if (onReleased === null) return;
  const buffers = new Set(inputs.map(({ data }) => data.buffer));
  for (const buffer of buffers) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= minReleasedBytes) onReleased(buffer);
  }
}
