import { toMeasurementKey, type FileBaseline } from "@fairlead/integrity";
import { isOperatorFile, type ChangedFile, type Measurement } from "@fairlead/protocol";

/** A device's baseline and what it measured last. */
export interface MeasuredDevice {
  readonly fileBaseline: FileBaseline | null;
  readonly measurements: readonly Measurement[] | null;
}

const toKey = (name: string): string => toMeasurementKey({ kind: "configuration", name });

/** The device knows its file: one that cannot be read, or that the device itself calls wrong, is nothing to accept. */
function isSound({ actual, expected }: Measurement): boolean {
  return actual !== null && (expected === null || expected === actual);
}

/** The configuration files whose change an operator may accept, by name; never a model's, the agent's or its identity's. */
export function listChangedConfiguration({ fileBaseline, measurements }: MeasuredDevice): readonly ChangedFile[] {
  if (fileBaseline === null || measurements === null) return [];
  const { digests } = fileBaseline;
  const now = new Map(measurements.filter(isOperatorFile).map((measurement) => [measurement.name, measurement]));
  const prefix = toKey("");
  const known = Object.keys(digests).flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
  const names = new Set([...now.keys(), ...known.filter((name) => isOperatorFile({ kind: "configuration", name }))]);
  return [...names].toSorted().flatMap((name) => {
    const measured = now.get(name);
    if (measured !== undefined && !isSound(measured)) return [];
    const before = Object.hasOwn(digests, toKey(name)) ? (digests[toKey(name)] ?? null) : null;
    const after = measured?.actual ?? null;
    return before === after ? [] : [{ name, before, after }];
  });
}

/** The baseline in which these changes are what is expected. */
export function acceptChanges(baseline: FileBaseline, changes: readonly ChangedFile[]): FileBaseline {
  const digests = new Map(Object.entries(baseline.digests));
  for (const { name, after } of changes) {
    if (after === null) digests.delete(toKey(name));
    else digests.set(toKey(name), after);
  }
  return { ...baseline, digests: Object.fromEntries(digests) };
}
