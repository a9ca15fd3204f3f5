import { openHardware, type DeviceProfile } from "@fairlead/hardware";
import type { Build } from "@fairlead/protocol";
import type { ChoiceRequest, Measurement } from "../models/choice/choice-record.ts";
import type { LoadTarget } from "../models/load-target.ts";
import type { BenchmarkResult } from "../serve/ipc.ts";
import type { ServingHost } from "../serving/serving-host.ts";
import { openBenchEnergy } from "./bench-energy.ts";

export interface MeasureLoadOptions {
  /** Folder that stands for `/` when sensors are read. */
  readonly hardwareRoot: string;
  readonly diskPath: string;
  readonly profile: DeviceProfile;
  readonly toPath: (digest: string) => string;
  readonly threads: number;
  /** Longest time of one run. */
  readonly deadlineMs: number;
  /** How long the timed runs go on. */
  readonly durationMs: number;
  readonly cores: number;
}

/** A build, and where it is to run. */
export interface MeasuredBuild {
  readonly request: ChoiceRequest;
  readonly build: Build;
  readonly target: LoadTarget;
  readonly loadId: string;
}

const defaultLoadMs = 60_000;
/** Reading, checking and the answer's way, beside the load itself. */
const aroundLoadMs = 60_000;
/** A busy moment of the device leaves holes between the samples, and then no joules: the whole run is made again. */
const energyRetries = 2;
/** Twice what the serving process gives itself for the golden set and for the timed runs (serve/benchmark.ts), and some. */
const benchmarkMs = 300_000;

/**
 * Loads a build where it is to run and runs it for a while; the load stays. Rejects with the codes of the serving process
 * when it cannot be loaded or run.
 */
export async function measureLoad(
  host: Pick<ServingHost, "request">,
  options: MeasureLoadOptions,
  { request: { slot, content }, build, target, loadId }: MeasuredBuild,
): Promise<Measurement> {
  const { toPath, threads, deadlineMs, durationMs, cores, profile, hardwareRoot: root, diskPath } = options;
  const { digest, sizeBytes } = build.artifact;
  const { model, version, classification, selfTest } = content;
  const { golden } = selfTest;
  await host.request(
    {
      ...{ kind: "load", loadId, slot, path: toPath(digest), digest, sizeBytes },
      ...{ model, version, classification, threads, deadlineMs, ...target },
    },
    (target.loadDeadlineMs ?? defaultLoadMs) + aroundLoadMs,
  );
  const probe = await openHardware({ profile, root, diskPath });
  const run = async (): Promise<Measurement> => {
    const energy = await openBenchEnergy(probe, { durationMs, cores });
    try {
      const result = await host.request(
        {
          kind: "benchmark",
          loadId,
          golden: golden === null ? null : { path: toPath(golden.digest), ...golden },
          durationMs,
        },
        benchmarkMs + 2 * (durationMs + deadlineMs),
      );
      return toMeasurement(build, result, await energy.settle(result));
    } finally {
      energy.stop();
    }
  };
  try {
    let measured = await run();
    for (let again = 0; again < energyRetries && measured.joulesPerInference.value === null; again += 1) {
      measured = await run();
    }
    return measured;
  } finally {
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
