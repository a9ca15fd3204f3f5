import { toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { readSidecarServer } from "@fairlead/inference/sidecars";
import type { Build } from "@fairlead/protocol";
import { join } from "node:path";
import { toSidecarFolder } from "../serving/runtime-config.ts";
import { toFailed, type ChoiceRequest, type Measurement } from "../models/choice/choice-record.ts";
import { toLoadTarget, type DeviceOffers, type LoadTarget } from "../models/load-target.ts";
import { measureApart, type MeasureApartOptions } from "./measure-apart.ts";
import { measureInPlace, type MeasureInPlaceOptions } from "./measure-in-place.ts";

export interface MeasureBuildOptions extends MeasureApartOptions, MeasureInPlaceOptions {
  readonly offers: DeviceOffers;
  /** Names one measurement, so that the load of one that was called off is not taken for the next. */
  readonly createId: () => string;
}

/**
 * Runs a build where the slot would run it, with the slot's providers and demands. Never rejects for a fault of the build.
 * @throws the signal's reason when it was called off
 */
export async function measureBuild(
  options: MeasureBuildOptions,
  { request, build }: { readonly request: ChoiceRequest; readonly build: Build },
  signal: AbortSignal,
): Promise<Measurement> {
  let target: LoadTarget;
  try {
    target = toLoadTarget(request.slot, build.target.executionProviders, options.offers);
  } catch (error) {
    return toFailed(build, `${toErrorCode(error) ?? "unknown"}: ${toErrorMessage(error)}`);
  }
  const loadId = `bench.${build.artifact.digest.slice(7, 19)}.${options.createId()}`;
  const measured = { request, build, target, loadId };
  return target.runtime === undefined
    ? await measureApart(options, measured, signal)
    : await measureInPlace(options, measured, signal);
}

/** Name and version of the server on which the slot's build runs, as it said them; null for the device's own runtime. */
export function readServer(
  slot: string,
  build: Build,
  { offers, root }: { readonly offers: DeviceOffers; readonly root: string },
): string | null {
  const place = toPlace(slot, build, offers);
  if (!("runtime" in place) || place.runtime === null) return null;
  return readSidecarServer(join(toSidecarFolder(root, place.runtime), "server"));
}

type Place = Pick<LoadTarget, "providers"> & { readonly runtime: string | null };

/** What of a slot's configuration decides where a build runs, as data that can be compared. */
export function toPlace(slot: string, build: Build, offers: DeviceOffers): Place | { readonly refused: string } {
  try {
    const { runtime = null, providers } = toLoadTarget(slot, build.target.executionProviders, offers);
    return { runtime, providers };
  } catch (error) {
    return { refused: toErrorCode(error) ?? "unknown" };
  }
}
