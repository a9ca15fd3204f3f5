import { findDuplicateTargets } from "@fairlead/artifacts";
import type { ModelVersion } from "@fairlead/protocol";

const byObjective = {
  latency: "the fastest",
  energy: "the one with the fewest joules of an inference",
  accuracy: "the one that reproduces most golden cases",
} as const;

/** Which builds stand in for each other on some device, and how such a device decides; nothing where no two do. */
export function describeSharedTargets({ builds, choice }: Pick<ModelVersion, "builds" | "choice">): readonly string[] {
  if (choice === undefined) return [];
  const toName = (index: number): string => `builds.${index} (${builds[index]?.artifact.digest.slice(0, 19) ?? ""}…)`;
  const floor = choice.accuracyFloor;
  const least = floor === null ? "" : ` of those that reproduce at least ${floor * 100} % of the golden cases`;
  return findDuplicateTargets(builds).map(
    ({ first, second }) =>
      `${toName(first)} and ${toName(second)} claim the same target: a device that meets both measures them and takes ` +
      `${byObjective[choice.objective]}${least}`,
  );
}
