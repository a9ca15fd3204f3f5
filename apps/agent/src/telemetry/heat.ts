import type { HostMetrics } from "@fairlead/protocol";

/** Why batch work stands still; it goes on when neither holds. */
export interface Heat {
  /** A sensor of the board says that it throttles. */
  readonly throttled: boolean;
  /** The board was at its limit and has not cooled down since. */
  readonly warm: boolean;
}

/** Degrees Celsius; null where nothing is known. */
export interface HeatLimits {
  readonly warnC: number | null;
  readonly criticalC: number | null;
}

export const noHeat: Heat = { throttled: false, warm: false };

/** Below its limit by this much a board counts as cool: work that stands still cools it at once, and begins again too early. */
export const hysteresisC = 5;

export const isHot = ({ throttled, warm }: Heat): boolean => throttled || warm;

/** At `warnC`, or at `criticalC` where only that is known. A reading that is missing changes nothing of what it is about. */
export function decideHeat(
  before: Heat,
  { throttled, temperatureC }: Pick<HostMetrics, "throttled" | "temperatureC">,
  limits: HeatLimits,
): Heat {
  const limitC = limits.warnC ?? limits.criticalC;
  return {
    throttled: throttled.value === null ? before.throttled : throttled.value > 0,
    warm:
      limitC === null
        ? false
        : temperatureC.value === null
          ? before.warm
          : temperatureC.value >= (before.warm ? limitC - hysteresisC : limitC),
  };
}

/** One line for the event: what was read, and against what. */
export function toHeatReason(
  { throttled, warm }: Heat,
  temperatureC: number | null,
  { warnC, criticalC }: HeatLimits,
): string {
  const at = temperatureC === null ? "no temperature" : `at ${temperatureC.toFixed(1)} °C`;
  const limit =
    criticalC !== null && temperatureC !== null && temperatureC >= criticalC
      ? `the critical limit is ${criticalC} °C`
      : `the limit is ${warnC ?? criticalC} °C`;
  const words = [at, ...(throttled ? ["the board's sensor says that it throttles"] : []), ...(warm ? [limit] : [])];
  return words.join("; ");
}
