/** Answers that a process gives before its code counts as hot. */
const startingAnswers = 64;
/** Calls after which V8 optimises a function, half and fully: 400 and 3,000 by default. */
const flags = ["--invocation-count-for-maglev=100", "--invocation-count-for-turbofan=400"];

/**
 * Has V8 optimise what is called once per request after hundreds of requests in place of thousands, which are a camera's first two
 * minutes. Not from the start on: with other flags than its own Node.js begins, and begins threads, without what it keeps
 * compiled, which cost 80 ms after a crash; by then the first models are there.
 */
export class HotCode {
  readonly #setFlag: (flag: string) => void;
  #answers = 0;

  constructor(setFlag: (flag: string) => void) {
    this.#setFlag = setFlag;
  }

  /** To be told of every inference that was answered. */
  note(): void {
    if (this.#answers === startingAnswers) return;
    this.#answers += 1;
    if (this.#answers === startingAnswers) for (const flag of flags) this.#setFlag(flag);
  }
}
