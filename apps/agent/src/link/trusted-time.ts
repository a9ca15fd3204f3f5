import type { Clock, Logger } from "@fairlead/kernel";
import { X509Certificate } from "node:crypto";

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

/** The plane dated the device's certificate: whatever this clock says, it is not earlier. Documents raise the floor further. */
export function raiseToCertificate(
  time: TrustedTime,
  {
    clock,
    certificatePem,
    logger,
  }: { readonly clock: Clock; readonly certificatePem: string; readonly logger: Logger },
): void {
  const floorMs = new X509Certificate(certificatePem).validFromDate.getTime();
  time.observe(floorMs);
  if (clock.nowMs() >= floorMs) return;
  logger.warn("the clock is earlier than this device's own certificate; nobody is trusted by it", {
    ...{ clockMs: clock.nowMs(), floorMs },
    hint: "set the clock; what is here is served meanwhile",
  });
}
