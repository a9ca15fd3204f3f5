import { toCanonicalDigest, toMeasurementKey } from "@fairlead/integrity";
import type { Measurement } from "@fairlead/protocol";

export type MeasurementMap = ReadonlyMap<string, Measurement>;

/** The wire takes 1,024 measurements and 262,144 bytes; the rest is for the link and the message around them. */
const maxMeasurements = 1_024;
const maxBytes = 230_000;

/** All measurements by key. Too many for one link: the agent's files become one measurement over all of them. */
export function toMeasurementMap(measurements: readonly Measurement[]): Map<string, Measurement> {
  const fits = measurements.length <= maxMeasurements && Buffer.byteLength(JSON.stringify(measurements)) <= maxBytes;
  const listed = fits ? measurements : foldAgentFiles(measurements);
  return new Map(listed.map((measurement) => [toMeasurementKey(measurement), measurement]));
}

function foldAgentFiles(measurements: readonly Measurement[]): Measurement[] {
  const agent = measurements.filter(({ kind }) => kind === "agent");
  const rest = measurements.filter(({ kind }) => kind !== "agent");
  const actual = toCanonicalDigest(agent.map(({ name, actual: digest }) => ({ name, digest })));
  return [...rest, { kind: "agent", name: "agent/tree", expected: null, actual, reason: null }];
}

export function isSameMeasurement(a: Measurement | undefined, b: Measurement): boolean {
  return a !== undefined && a.expected === b.expected && a.actual === b.actual && a.reason === b.reason;
}

/** What a partial link would have to say; `vanished` when only a full one can say it. */
export function compareMeasurements(
  reported: MeasurementMap,
  current: MeasurementMap,
): { readonly changed: Measurement[]; readonly vanished: boolean } {
  return {
    changed: [...current].flatMap(([key, found]) => (isSameMeasurement(reported.get(key), found) ? [] : [found])),
    vanished: [...reported.keys()].some((key) => !current.has(key)),
  };
}
