import type { Clock } from "@fairlead/kernel";

/** The best floor of the true time: nothing that was signed or said by the plane lies in the future. */
export interface TrustedTime {
  nowMs(): number;
  /** Time of issue of a document that was verified. */
  observe(issuedAtMs: number): void;
  /** The plane's own clock, heard just now. */
  observeLive(planeMs: number): void;
}

export function createTrustedTime(clock: Clock): TrustedTime {
  let newestMs = 0;
  let live: { readonly planeMs: number; readonly atMs: number } | undefined;
  return {
    nowMs() {
      const liveMs = live === undefined ? 0 : live.planeMs + (clock.monotonicMs() - live.atMs);
      return Math.floor(Math.max(clock.nowMs(), newestMs, liveMs));
    },
    observe: (issuedAtMs) => (newestMs = Math.max(newestMs, issuedAtMs)),
    observeLive: (planeMs) => (live = { planeMs, atMs: clock.monotonicMs() }),
  };
}
