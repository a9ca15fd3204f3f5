import { defaultSettings, type ModelSettings } from "@fairlead/inference";
import type { LoadScheduling } from "./ipc.ts";
import { ServeError } from "./serving-error.ts";

export interface LoadSettings {
  readonly settings: ModelSettings;
  readonly instances: number;
}

/** Checks and completes what a load asks of the scheduler; by hand, since zod stays out of this process. */
export function toLoadSettings(scheduling: LoadScheduling, maxQueue: number): LoadSettings {
  const { maxBatchSize = 1, maxQueueDelayMs = 0, instances = 1, queueLimit = maxQueue } = scheduling;
  const { quotaShare = null, clientShares = {}, priority = "normal" } = scheduling;
  const wrong = [
    isWhole(maxBatchSize, 1, 1_024) ? null : "maxBatchSize",
    isBetween(maxQueueDelayMs, 0, 1_000) ? null : "maxQueueDelayMs",
    isWhole(instances, 1, 16) ? null : "instances",
    isWhole(queueLimit, 1, 100_000) ? null : "queueLimit",
    quotaShare === null || isBetween(quotaShare, 0, 1) ? null : "quotaShare",
    Object.values(clientShares).every((share) => isBetween(share, 0, 1)) ? null : "clientShares",
    ["realtime", "normal", "batch"].includes(priority) ? null : "priority",
  ].filter((name) => name !== null);
  if (wrong.length > 0) throw new ServeError("request_invalid", `out of range: ${wrong.join(", ")}`);
  const settings = {
    ...defaultSettings,
    maxBatchSize,
    maxQueueDelayMs,
    queueLimit,
    quotaShare,
    clientShares,
    priority,
  };
  return { settings, instances };
}

function isBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === "number" && value >= min && value <= max;
}

function isWhole(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && isBetween(value, min, max);
}
