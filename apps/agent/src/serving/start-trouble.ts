import type { ServingError } from "../serve/ipc.ts";

/** A single death during the start, without a word, may be anybody's `kill`; the second one in a row is the process's own. */
const silentDeathsToTell = 2;

/** Keeps why the serving process does not come up, and tells each reason once. */
export class StartTrouble {
  #current: ServingError | null = null;
  #silentDeaths = 0;

  get current(): ServingError | null {
    return this.#current;
  }

  /**
   * A process ended before it was ready.
   * @param said what it said of that; null when it said nothing
   * @param exit how it ended, for one that said nothing
   * @returns the trouble when it is news; null when it is known already or nothing yet
   */
  add(said: ServingError | null, exit: string): ServingError | null {
    this.#silentDeaths = said === null ? this.#silentDeaths + 1 : 0;
    if (said === null && this.#silentDeaths < silentDeathsToTell) return null;
    const trouble = said ?? toSilentDeath(exit);
    const known = this.#current?.code === trouble.code && this.#current.message === trouble.message;
    this.#current = trouble;
    return known ? null : trouble;
  }

  clear(): void {
    this.#current = null;
    this.#silentDeaths = 0;
  }
}

function toSilentDeath(exit: string): ServingError {
  return {
    code: "start_failed",
    message: `the serving process ends before it is ready (${exit})`,
    hint: "Read what it wrote in the agent's log; fairlead-agent doctor starts one and tries the accelerators.",
  };
}

/** One line for people: what, where and what to do. */
export function toTroubleText({ code, message, hint }: ServingError): string {
  return `${code}: ${message}${hint === undefined ? "" : `. ${hint}`}`;
}
