import { inspectOnnxBytes, type OperatorPolicy } from "@fairlead/inference/inspect";
import type { InferenceRuntime, LoadedModel } from "@fairlead/inference";
import type { LoadRequest } from "./ipc.ts";
import { LoadedInstances, PlacementChanges } from "./loaded-instances.ts";
import { readVerifiedFile } from "./verified-file.ts";

export interface ModelGate {
  readonly runtime: InferenceRuntime;
  /** Which operators models may use. */
  readonly operators: OperatorPolicy;
}

export interface LoadAsk {
  readonly instances: number;
  readonly background: boolean;
  /** In place of those that the request names. */
  readonly providers?: readonly string[];
  /** See `LoadOptions`. */
  readonly standIn?: boolean;
  /** Called when the file was read and found good, before the runtime sees a byte. */
  readonly onChecked?: () => void;
}

const maxModelBytes = 2 * 1024 ** 3 - 1;

/**
 * Reads, checks, inspects and loads a build; what is loaded is what was checked, each time that it is loaded.
 * @throws ServeError · InspectionError · RuntimeError
 */
export async function loadInstances(
  { runtime, operators }: ModelGate,
  request: LoadRequest,
  ask: LoadAsk,
): Promise<LoadedInstances> {
  const bytes = await readVerifiedFile(request, maxModelBytes);
  inspectOnnxBytes(bytes, { operators });
  ask.onChecked?.();
  const changes = new PlacementChanges();
  const { threads, runtime: name, loadDeadlineMs } = request;
  const providers = ask.providers ?? request.providers;
  const options = {
    ...{ threads, background: ask.background, onPlacement: changes.tell.bind(changes) },
    ...(providers === undefined ? {} : { providers }),
    ...(ask.standIn === undefined ? {} : { standIn: ask.standIn }),
    ...(name === undefined ? {} : { runtime: name }),
    ...(loadDeadlineMs === undefined ? {} : { loadDeadlineMs }),
  };
  // One after the other, so that the file is in memory once besides what the runtime keeps.
  const rest: LoadedModel[] = [];
  try {
    for (let count = 1; count < ask.instances; count += 1)
      rest.push(await runtime.load(new Uint8Array(bytes), options));
    return new LoadedInstances([await runtime.load(bytes, options), ...rest], changes);
  } catch (error) {
    for (const model of rest) await model.close();
    throw error;
  }
}
