import { CodedError, toErrorCode, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { toFailed, type Measurement } from "../models/choice/choice-record.ts";
import { readInflightLoads } from "../serve/inflight.ts";
import type { ServingConfig } from "../serve/ipc.ts";
import { toBenchLimitBytes } from "../serving/memory-limit.ts";
import { ServingHost, type ServingExit } from "../serving/serving-host.ts";
import { measureLoad, type MeasuredBuild, type MeasureLoadOptions } from "./measure-load.ts";

export interface MeasureApartOptions extends MeasureLoadOptions {
  readonly entry: URL;
  /** Folder of the throw-away process's own files. */
  readonly folder: string;
  /** What holds for the process that serves and so for this one: which operators, how much memory, which processes. */
  readonly bounds: Pick<ServingConfig, "models" | "isolated"> & { readonly memoryLimitBytes: number };
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Runs a build in a serving process of its own, which is thrown away: a build that crashes, hangs or eats its memory
 * hurts nobody and is named with the reason.
 * @throws the signal's reason when it was called off
 */
export async function measureApart(
  options: MeasureApartOptions,
  measured: MeasuredBuild,
  signal: AbortSignal,
): Promise<Measurement> {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  const inflightPath = join(options.folder, "inflight");
  const memoryLimitBytes = toBenchLimitBytes(options.bounds.memoryLimitBytes, process.availableMemory());
  let exit: ServingExit | undefined;
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => undefined);
  const end = (error: unknown) => {
    ended.reject(error);
    ready.reject(error);
  };
  ready.promise.catch(() => undefined);
  const host = new ServingHost({
    entry: options.entry,
    config: {
      address: { kind: "tcp", host: "127.0.0.1", port: 0 },
      ...{ inflightPath, profileFolder: join(options.folder, "profiles") },
      ...{ ...options.bounds, memoryLimitBytes, memoryBudgetBytes: memoryLimitBytes },
    },
    readInflight: () => readInflightLoads(inflightPath).map(({ loadId }) => loadId),
    clock: options.clock,
    logger: options.logger,
    random: () => 0,
    onReady: () => ready.resolve(),
    onExit: (how) => {
      exit ??= how;
      void host.stop();
      end(new CodedError("serving_exited", `its process ended (${how.exit})`));
    },
  });
  const onAbort = () => end(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    signal.throwIfAborted();
    await host.start();
    await ready.promise;
    return await Promise.race([measureLoad(host, options, measured), ended.promise]);
  } catch (error) {
    signal.throwIfAborted();
    return toFailed(measured.build, toFailure(error, exit));
  } finally {
    signal.removeEventListener("abort", onAbort);
    await host.stop();
  }
}

function toFailure(error: unknown, exit: ServingExit | undefined): string {
  const code = toErrorCode(error) ?? "unknown";
  if (code === "inference_deadline" || code === "serving_timeout" || exit?.cause === "hang")
    return `hang: ${exit === undefined ? toErrorMessage(error) : `a run did not end; its process was killed (${exit.exit})`}`;
  if (exit !== undefined) return `crash: its process ended (${exit.exit})`;
  return `${code}: ${toErrorMessage(error)}`;
}
