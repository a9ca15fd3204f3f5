/**
 * Measured with perceptrons of 16, 64 and 256 MiB on ONNX Runtime 1.30 (x64): while it loads, three times the file; kept,
 * twice the file; and 23 MiB for a thread with an empty session.
 */
const keptFactor = 2;
const threadBytes = 24 * 1_048_576;

/** What loading this file is expected to take at its peak, before anything was measured. */
export function estimateLoadBytes(sizeBytes: number, instances: number): number {
  return sizeBytes + instances * (sizeBytes * keptFactor + threadBytes);
}

export interface MemoryState {
  readonly neededBytes: number;
  /** MemAvailable, or what the process's own limits leave, whichever is less. */
  readonly availableBytes: number;
  /** Kept free for the rest of the device. */
  readonly reserveBytes: number;
  readonly rssBytes: number;
  /** What the process may take; null for no limit but the device's. */
  readonly budgetBytes: number | null;
  /** Loads that nobody asks: in no slot and idle for long enough. */
  readonly idleLoads: readonly { readonly loadId: string; readonly lastUsedMs: number; readonly bytes: number }[];
}

export type Admission =
  | { readonly kind: "admit"; readonly unload: readonly string[] }
  | { readonly kind: "refuse"; readonly missingBytes: number };

/** Admits, when need be after giving up idle loads, the longest unused first; none is given up in vain. */
export function decideAdmission(state: MemoryState): Admission {
  const device = state.availableBytes - state.reserveBytes;
  const budget = state.budgetBytes === null ? Number.POSITIVE_INFINITY : state.budgetBytes - state.rssBytes;
  let missingBytes = state.neededBytes - Math.min(device, budget);
  const unload: string[] = [];
  for (const load of state.idleLoads.toSorted((left, right) => left.lastUsedMs - right.lastUsedMs)) {
    if (missingBytes <= 0) break;
    missingBytes -= load.bytes;
    unload.push(load.loadId);
  }
  return missingBytes <= 0 ? { kind: "admit", unload } : { kind: "refuse", missingBytes: Math.ceil(missingBytes) };
}
