import type { Job } from "./slot-record.ts";

type Told = Pick<Job, "rolloutId" | "attempt" | "releaseId" | "state" | "code">;

/**
 * Which steps of a job are worth an event. A fetch that is tried again and again for one reason (no room, no network) takes
 * the same two steps each time, for days maybe, and each event is kept until the plane has it.
 */
export class JobNews {
  #job = "";
  #waitsWith: string | null | undefined;

  isNews({ rolloutId, attempt, releaseId, state, code }: Told): boolean {
    const job = `${rolloutId} ${attempt} ${releaseId}`;
    if (job !== this.#job) this.#waitsWith = undefined;
    this.#job = job;
    if (state === "downloading") return this.#waitsWith === undefined;
    const waited = this.#waitsWith;
    this.#waitsWith = state === "waiting" ? code : undefined;
    return state !== "waiting" || waited !== code;
  }
}
