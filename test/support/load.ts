import { Agent, request } from "undici";
import { toInferRequest, toPrediction, type Digit } from "./digits.ts";

export interface Tally {
  requests: number;
  /** Answers other than 200, and connections that broke. */
  failures: number;
  correct: number;
  /** From sending to the last byte of the answer, of each answered request. */
  readonly latenciesMs: number[];
  /** First few failures in words. */
  readonly reasons: string[];
}

export function emptyTally(): Tally {
  return { requests: 0, failures: 0, correct: 0, latenciesMs: [], reasons: [] };
}

/** The 95th percentile of a phase, the nearest rank; undefined where nothing was answered. */
export function toP95Ms({ latenciesMs }: Tally): number | undefined {
  return latenciesMs.toSorted((one, other) => one - other)[Math.ceil(0.95 * latenciesMs.length) - 1];
}

export interface LoadOptions {
  /** `http://127.0.0.1:port`; asked before each request, since a restarted agent may answer elsewhere. */
  readonly endpoint: () => string;
  readonly model: string;
  readonly digits: readonly Digit[];
  readonly perSecond: number;
}

/** A steady stream of real digits to one device, counted per phase. */
export class SteadyLoad implements AsyncDisposable {
  readonly #options: LoadOptions;
  readonly #agent = new Agent({ connections: 4, headersTimeout: 5_000, bodyTimeout: 5_000 });
  readonly #phases = new Map<string, Tally>();
  readonly #inFlight = new Set<Promise<void>>();
  #phase = "start";
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => {
      const digit = this.#options.digits[this.#next % this.#options.digits.length];
      this.#next += 1;
      if (digit === undefined || this.#inFlight.size > 64) return;
      const sent = this.#send(digit, this.#tally(this.#phase)).finally(() => this.#inFlight.delete(sent));
      this.#inFlight.add(sent);
    }, 1_000 / this.#options.perSecond);
  }

  /** Requests sent from now on count in this phase. */
  enter(phase: string): void {
    this.#phase = phase;
  }

  tally(phase: string): Tally {
    return this.#tally(phase);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled(this.#inFlight);
    if (!this.#agent.destroyed) await this.#agent.close();
  }

  #tally(phase: string): Tally {
    const known = this.#phases.get(phase);
    if (known !== undefined) return known;
    const fresh = emptyTally();
    this.#phases.set(phase, fresh);
    return fresh;
  }

  async #send(digit: Digit, tally: Tally): Promise<void> {
    tally.requests += 1;
    const sentMs = performance.now();
    try {
      const { body, headers } = toInferRequest(digit);
      const answer = await request(`${this.#options.endpoint()}/v2/models/${this.#options.model}/infer`, {
        method: "POST",
        body,
        headers,
        dispatcher: this.#agent,
      });
      const bytes = Buffer.from(await answer.body.arrayBuffer());
      if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${bytes.toString("utf8").slice(0, 200)}`);
      tally.latenciesMs.push(performance.now() - sentMs);
      if (toPrediction(bytes, Number(answer.headers["inference-header-content-length"])) === digit.label)
        tally.correct += 1;
    } catch (error) {
      tally.failures += 1;
      if (tally.reasons.length < 5) tally.reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
}
