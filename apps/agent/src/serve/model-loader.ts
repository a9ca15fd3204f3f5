import { haveOneRowName, maxInlineModelBytes, toSharedRows, type SharedRows } from "@fairlead/inference";
import { inspectOnnxBytes, type OperatorPolicy } from "@fairlead/inference/inspect";
import type { InferenceRuntime, LoadedModel } from "@fairlead/inference";
import type { LoadRequest } from "./ipc.ts";
import { LoadedInstances, PlacementChanges } from "./loaded-instances.ts";
import { requireContract } from "./require-contract.ts";
import { readVerifiedFile } from "./verified-file.ts";

export interface ModelGate {
  readonly runtime: InferenceRuntime;
  /** Which operators models may use. */
  readonly operators: OperatorPolicy;
}

export interface LoadAsk {
  readonly instances: number;
  readonly background: boolean;
  /** Throws when there is no room for a second session; null where lone requests may not run on the thread that reads them. */
  readonly checkRoom: (() => void) | null;
  /** In place of those that the request names. */
  readonly providers?: readonly string[];
  /** See `LoadOptions`. */
  readonly standIn?: boolean;
  /** Called when the file was read and found good, before the runtime sees a byte. */
  readonly onChecked?: () => void;
}

const maxModelBytes = 2 * 1024 ** 3 - 1;

interface CheckedFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sharedRows: SharedRows;
  readonly mayJoin: boolean;
}

async function readChecked(request: LoadRequest, operators: OperatorPolicy): Promise<CheckedFile> {
  const bytes = await readVerifiedFile(request, maxModelBytes);
  const found = inspectOnnxBytes(bytes, { operators });
  if (request.tensors !== undefined) requireContract(request.tensors, found);
  return { bytes, sharedRows: toSharedRows(found.inputs), mayJoin: haveOneRowName(found.inputs) };
}

/**
 * Reads, checks, inspects and loads a build; what is loaded is what was checked, each time that it is loaded.
 * @throws ServeError · InspectionError · RuntimeError
 */
export async function loadInstances(
  { runtime, operators }: ModelGate,
  request: LoadRequest,
  ask: LoadAsk,
): Promise<LoadedInstances> {
  const { bytes, ...rows } = await readChecked(request, operators);
  ask.onChecked?.();
  const changes = new PlacementChanges();
  const { threads, runtime: name, loadDeadlineMs } = request;
  const { checkRoom } = ask;
  const again = async () => {
    checkRoom?.();
    return (await readChecked(request, operators)).bytes;
  };
  const providers = ask.providers ?? request.providers;
  const options = {
    ...{ threads, background: ask.background, onPlacement: changes.tell.bind(changes) },
    ...(providers === undefined ? {} : { providers }),
    ...(ask.standIn === undefined ? {} : { standIn: ask.standIn }),
    ...(name === undefined ? {} : { runtime: name }),
    ...(loadDeadlineMs === undefined ? {} : { loadDeadlineMs }),
    ...(checkRoom !== null && request.sizeBytes <= maxInlineModelBytes ? { again } : {}),
  };
  // One after the other, so that the file is in memory once besides what the runtime keeps.
  const rest: LoadedModel[] = [];
  try {
    for (let count = 1; count < ask.instances; count += 1)
      rest.push(await runtime.load(new Uint8Array(bytes), options));
    return new LoadedInstances([await runtime.load(bytes, options), ...rest], { changes, ...rows });
  } catch (error) {
    for (const model of rest) await model.close();
    throw error;
  }
}
