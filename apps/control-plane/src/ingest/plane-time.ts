import { limits } from "@fairlead/protocol";

/** What a device says is placed in the plane's time: by its clock unless that is known to be wrong, never in the future. */
export function toPlaneTimeMs(
  tsMs: number,
  { skewMs, receivedMs }: { readonly skewMs: number; readonly receivedMs: number },
): number {
  return Math.min(receivedMs, Math.abs(skewMs) > limits.clockSkewMs ? tsMs - skewMs : tsMs);
}
