interface Duration {
  count: number;
  ns: number;
}

/** Times of one request in microseconds, and the run that it was part of. */
export interface RequestTimes {
  readonly input: number;
  readonly queue: number;
  readonly infer: number;
  readonly output: number;
  readonly batchRows: number;
  /** True for one request of each run. */
  readonly leads: boolean;
}

/** Of the runs of one size: what their requests took together, as many times as there were runs. */
interface BatchDurations {
  readonly input: Duration;
  readonly infer: Duration;
  readonly output: Duration;
}

const maxBatchKinds = 1_024;

const toDuration = (): Duration => ({ count: 0, ns: 0 });

/** Counts since the load began, in the words of Triton's statistics extension. */
export class RequestStatistics {
  #lastInferenceMs = 0;
  #inferences = 0;
  #executions = 0;
  readonly #batches = new Map<number, BatchDurations>();
  readonly #success = toDuration();
  readonly #fail = toDuration();
  readonly #queue = toDuration();
  readonly #input = toDuration();
  readonly #infer = toDuration();
  readonly #output = toDuration();

  recordSuccess(nowMs: number, rows: number, timesUs: RequestTimes): void {
    this.#lastInferenceMs = nowMs;
    this.#inferences += rows;
    const batch = this.#toBatch(timesUs.batchRows);
    const runs = timesUs.leads ? 1 : 0;
    this.#executions += runs;
    add(batch.input, timesUs.input, runs);
    if (timesUs.leads) add(batch.infer, timesUs.infer);
    add(batch.output, timesUs.output, runs);
    add(this.#success, timesUs.input + timesUs.queue + timesUs.infer + timesUs.output);
    add(this.#queue, timesUs.queue);
    add(this.#input, timesUs.input);
    add(this.#infer, timesUs.infer);
    add(this.#output, timesUs.output);
  }

  #toBatch(rows: number): BatchDurations {
    // Sizes above the bound share one place: a client chooses them, and each would cost memory for ever.
    const size = Math.min(rows, maxBatchKinds);
    let batch = this.#batches.get(size);
    if (batch === undefined) {
      batch = { input: toDuration(), infer: toDuration(), output: toDuration() };
      this.#batches.set(size, batch);
    }
    return batch;
  }

  recordFailure(timeUs: number): void {
    add(this.#fail, timeUs);
  }

  /** Element of `model_stats`. */
  toDocument(name: string, version: string): object {
    return {
      name,
      version,
      last_inference: Math.round(this.#lastInferenceMs),
      inference_count: this.#inferences,
      execution_count: this.#executions,
      inference_stats: {
        success: this.#success,
        fail: this.#fail,
        queue: this.#queue,
        compute_input: this.#input,
        compute_infer: this.#infer,
        compute_output: this.#output,
        cache_hit: toDuration(),
        cache_miss: toDuration(),
      },
      batch_stats: [...this.#batches]
        .toSorted(([left], [right]) => left - right)
        .map(([size, { input, infer, output }]) => ({
          batch_size: size,
          compute_input: input,
          compute_infer: infer,
          compute_output: output,
        })),
    };
  }
}

function add(duration: Duration, timeUs: number, count = 1): void {
  duration.count += count;
  duration.ns += Math.max(0, Math.round(timeUs * 1_000));
}
