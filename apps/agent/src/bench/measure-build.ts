import { openHardware, type DeviceProfile } from "@fairlead/hardware";
import { CodedError, toErrorCode, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import type { Build } from "@fairlead/protocol";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { toFailed, type ChoiceRequest, type Measurement } from "../models/choice/choice-record.ts";
import { toLoadTarget, type DeviceOffers } from "../models/load-target.ts";
import type { BenchmarkResult } from "../serve/ipc.ts";
import { readInflightLoads } from "../serve/inflight.ts";
import { ServingHost, type ServingExit } from "../serving/serving-host.ts";
import { openBenchEnergy } from "./bench-energy.ts";

export interface MeasureBuildOptions {
  readonly entry: URL;
  /** Folder of the throw-away process's own files. */
  readonly folder: string;
  readonly diskPath: string;
  readonly profile: DeviceProfile;
  readonly toPath: (digest: string) => string;
  readonly offers: DeviceOffers;
  readonly threads: number;
  /** Longest time of one run. */
  readonly deadlineMs: number;
  /** How long the timed runs go on. */
  readonly durationMs: number;
  readonly cores: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const loadTimeoutMs = 120_000;
const comparingTimeoutMs = 300_000;

/**
 * Runs a build in a serving process of its own, which is thrown away: a build that crashes, hangs or eats its memory
 * hurts nobody and is named with the reason.
 * @throws the signal's reason when it was called off
 */
export async function measureBuild(
  options: MeasureBuildOptions,
  target: { readonly request: ChoiceRequest; readonly build: Build },
  signal: AbortSignal,
): Promise<Measurement> {
  const { build } = target;
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  const inflightPath = join(options.folder, "inflight");
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
    return await Promise.race([run(host, options, target), ended.promise]);
  } catch (error) {
    signal.throwIfAborted();
    return toFailed(build, toFailure(error, exit));
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

async function run(
  host: ServingHost,
  options: MeasureBuildOptions,
  { request, build }: { readonly request: ChoiceRequest; readonly build: Build },
): Promise<Measurement> {
  const { toPath, threads, deadlineMs, durationMs, cores, profile, diskPath } = options;
  const { content } = request;
  const { digest, sizeBytes } = build.artifact;
  const loadId = `bench.${digest.slice(7, 19)}`;
  const { golden } = content.selfTest;
  await host.request(
    {
      kind: "load",
      loadId,
      slot: "bench",
      path: toPath(digest),
      digest,
      sizeBytes,
      model: content.model,
      version: content.version,
      classification: content.classification,
      threads,
      deadlineMs,
      providers: toLoadTarget("bench", build.target.executionProviders, options.offers).providers,
    },
    loadTimeoutMs,
  );
  const probe = await openHardware({ profile, diskPath });
  const energy = await openBenchEnergy(probe, { durationMs, cores });
  try {
    const result = await host.request(
      {
        kind: "benchmark",
        loadId,
        golden: golden === null ? null : { path: toPath(golden.digest), ...golden },
        durationMs,
      },
      durationMs + comparingTimeoutMs,
    );
    return toMeasurement(build, result, await energy.settle(result));
  } finally {
    energy.stop();
    await probe.close();
  }
}

function toMeasurement(
  { artifact: { digest, sizeBytes } }: Build,
  { latencyUs, runs, golden, topClass }: BenchmarkResult,
  energy: Pick<Measurement, "joulesPerInference" | "energyMethod">,
): Measurement {
  return {
    digest,
    sizeBytes,
    latencyUs: { p50: latencyUs.p50, p99: latencyUs.p99 },
    ...energy,
    accuracyRatio: golden === null || golden.cases === 0 ? null : golden.withinTolerance / golden.cases,
    agreementRatio: topClass === null || topClass.rows === 0 ? null : topClass.agreeing / topClass.rows,
    runs,
    failure: null,
  };
}
