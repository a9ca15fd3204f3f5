import { toErrorCode, toErrorMessage, type Logger } from "@fairlead/kernel";
import { setTimeout as wait } from "node:timers/promises";
import { toFailed, type Measurement } from "../models/choice/choice-record.ts";
import type { ServingHost } from "../serving/serving-host.ts";
import { measureLoad, type MeasuredBuild, type MeasureLoadOptions } from "./measure-load.ts";

export interface MeasureInPlaceOptions extends MeasureLoadOptions {
  readonly serving: Pick<ServingHost, "ready" | "request">;
  readonly logger: Logger;
}

const pollMs = 100;
/** Ends of the serving process under one measurement before the build is held to be the reason. */
const maxCutShort = 3;
/** It ended during a request, or between two of them. */
const cutShort: readonly string[] = ["serving_exited", "serving_unavailable"];

/**
 * Runs a build on the server that will run it, through the process that serves. The server is a process of its own and
 * is started again by itself, and the build's self-test would take place there next.
 * @throws the signal's reason when it was called off
 */
export async function measureInPlace(
  options: MeasureInPlaceOptions,
  measured: MeasuredBuild,
  signal: AbortSignal,
): Promise<Measurement> {
  for (let tries = 1; ; tries += 1) {
    while (!options.serving.ready) await wait(pollMs, undefined, { signal });
    signal.throwIfAborted();
    try {
      return await measureOnce(options, measured, signal);
    } catch (error) {
      signal.throwIfAborted();
      const code = toErrorCode(error) ?? "unknown";
      if (!cutShort.includes(code) || tries >= maxCutShort) return toFailed(measured.build, toFailure(code, error));
      options.logger.warn("a measurement was cut short", { reason: toErrorMessage(error) });
    }
  }
}

/** The load goes in any case: nothing would ever be served from it. */
async function measureOnce(
  options: MeasureInPlaceOptions,
  measured: MeasuredBuild,
  signal: AbortSignal,
): Promise<Measurement> {
  const { serving, logger } = options;
  const { loadId } = measured;
  const { promise: calledOff, reject } = Promise.withResolvers<never>();
  calledOff.catch(() => undefined);
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  const unload = (): Promise<void> =>
    serving.request({ kind: "unload", loadId }).then(
      () => undefined,
      (error: unknown) => {
        if (toErrorCode(error) !== "load_unknown")
          logger.warn("a measured build was not unloaded", { loadId, reason: toErrorMessage(error) });
      },
    );
  const running = measureLoad(serving, options, measured);
  // Waits for its last run; when it was called off, nobody waits for it.
  const gone = running.then(unload, unload);
  try {
    const measurement = await Promise.race([running, calledOff]);
    await gone;
    return measurement;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function toFailure(code: string, error: unknown): string {
  const kind =
    code === "inference_deadline" ? "hang" : code === "runtime_crashed" || cutShort.includes(code) ? "crash" : code;
  return `${kind}: ${toErrorMessage(error)}`;
}
