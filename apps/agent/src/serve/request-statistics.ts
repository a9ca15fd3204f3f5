interface Duration {
  count: number;
  ns: number;
}

const toDuration = (): Duration => ({ count: 0, ns: 0 });

/** Counts since the load began, in the words of Triton's statistics extension. */
export class RequestStatistics {
  #lastInferenceMs = 0;
  #inferences = 0;
  readonly #success = toDuration();
  readonly #fail = toDuration();
  readonly #queue = toDuration();
  readonly #input = toDuration();
  readonly #infer = toDuration();
  readonly #output = toDuration();

  recordSuccess(
    nowMs: number,
    rows: number,
    timesUs: { input: number; queue: number; infer: number; output: number },
  ): void {
    this.#lastInferenceMs = nowMs;
    this.#inferences += rows;
    add(this.#success, timesUs.input + timesUs.queue + timesUs.infer + timesUs.output);
    add(this.#queue, timesUs.queue);
    add(this.#input, timesUs.input);
    add(this.#infer, timesUs.infer);
    add(this.#output, timesUs.output);
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
      execution_count: this.#success.count,
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
      batch_stats: [],
    };
  }
}

function add(duration: Duration, timeUs: number): void {
  duration.count += 1;
  duration.ns += Math.max(0, Math.round(timeUs * 1_000));
}
