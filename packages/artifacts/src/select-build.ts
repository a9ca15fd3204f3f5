import type { Build, BuildTarget, ExecutionProvider, ModelVersion } from "@fairlead/protocol";

/** What a device can run. `executionProviders` are those proved to work, in order of preference. */
export interface BuildCapabilities {
  readonly arch: "x64" | "arm64";
  readonly profile: string;
  readonly executionProviders: readonly ExecutionProvider[];
  readonly formats: readonly Build["format"][];
  /** Memory of the whole device in bytes; null or absent when unknown: no build is then refused for its size. */
  readonly memoryBytes?: number | null;
}

/** Share of the device's memory that one model may be estimated to need. */
const memoryShare = 0.8;

/** Bytes that a build is expected to take while it loads; measured: three times the file and a thread with its session. */
export function toMemoryEstimateBytes(build: Pick<Build, "artifact">): number {
  return 3 * build.artifact.sizeBytes + 24 * 1_048_576;
}

function fitsMemory(build: Build, { memoryBytes }: BuildCapabilities): boolean {
  return memoryBytes === undefined || memoryBytes === null || toMemoryEstimateBytes(build) <= memoryBytes * memoryShare;
}

/** A named profile narrows more than a named architecture, so it counts double. */
function toSpecificity(target: BuildTarget): number {
  return (target.profiles === undefined ? 0 : 2) + (target.arch === undefined ? 0 : 1);
}

/** Position of the best provider that both have, or -1. */
function toProviderRank(build: Build, capabilities: BuildCapabilities): number {
  return capabilities.executionProviders.findIndex((provider) => build.target.executionProviders.includes(provider));
}

function isCandidate(build: Build, capabilities: BuildCapabilities): boolean {
  const { arch, profiles } = build.target;
  return (
    capabilities.formats.includes(build.format) &&
    (arch === undefined || arch.includes(capabilities.arch)) &&
    (profiles === undefined || profiles.includes(capabilities.profile)) &&
    toProviderRank(build, capabilities) >= 0 &&
    fitsMemory(build, capabilities)
  );
}

/** Every build that the device can run, smallest first, each artifact once: between these it may choose by measuring. */
export function listCandidates(version: Pick<ModelVersion, "builds">, capabilities: BuildCapabilities): Build[] {
  const seen = new Set<string>();
  return version.builds
    .filter((build) => isCandidate(build, capabilities))
    .toSorted(
      (left, right) =>
        left.artifact.sizeBytes - right.artifact.sizeBytes || byText(left.artifact.digest, right.artifact.digest),
    )
    .filter(({ artifact }) => !seen.has(artifact.digest) && seen.add(artifact.digest));
}

function byText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * The one build of a model version that a device should run, or null when it can run none. The most specific target
 * wins (profile before architecture before neither), then the device's provider preference, then the smaller artifact,
 * then the digest: the same answer on every machine, whatever the order of the builds.
 */
export function selectBuild(version: Pick<ModelVersion, "builds">, capabilities: BuildCapabilities): Build | null {
  const ordered = version.builds
    .filter((build) => isCandidate(build, capabilities))
    .toSorted(
      (left, right) =>
        toSpecificity(right.target) - toSpecificity(left.target) ||
        toProviderRank(left, capabilities) - toProviderRank(right, capabilities) ||
        left.artifact.sizeBytes - right.artifact.sizeBytes ||
        byText(left.artifact.digest, right.artifact.digest),
    );
  return ordered[0] ?? null;
}

function isOverlap<Value>(left: readonly Value[] | undefined, right: readonly Value[] | undefined): boolean {
  return left === undefined || right === undefined || left.some((value) => right.includes(value));
}

/** Indices of two builds between which a device could choose by size and digest only. */
export interface DuplicateTarget {
  readonly first: number;
  readonly second: number;
}

/** Pairs of builds that claim the same target: equally specific, and some device with some provider meets both. */
export function findDuplicateTargets(builds: readonly Pick<Build, "format" | "target">[]): readonly DuplicateTarget[] {
  const duplicates: DuplicateTarget[] = [];
  for (const [first, left] of builds.entries()) {
    for (const [offset, right] of builds.slice(first + 1).entries()) {
      const same =
        left.format === right.format &&
        toSpecificity(left.target) === toSpecificity(right.target) &&
        isOverlap(left.target.arch, right.target.arch) &&
        isOverlap(left.target.profiles, right.target.profiles) &&
        isOverlap(left.target.executionProviders, right.target.executionProviders);
      if (same) duplicates.push({ first, second: first + 1 + offset });
    }
  }
  return duplicates;
}

/** Two builds that claim one target, and why that is a mistake. */
export interface TargetConflict extends DuplicateTarget {
  /** `same-file`: measuring would leave nothing to choose. `no-choice`: they differ, and nobody says by what a device is to choose. */
  readonly kind: "same-file" | "no-choice";
}

/** The first mistake in what a version's builds claim; null where each device has one build, or is told how to choose. */
export function findTargetConflict(
  builds: readonly (Pick<Build, "format" | "target"> & { readonly digest: string })[],
  hasChoice: boolean,
): TargetConflict | null {
  for (const pair of findDuplicateTargets(builds)) {
    if (builds[pair.first]?.digest === builds[pair.second]?.digest) return { ...pair, kind: "same-file" };
    if (!hasChoice) return { ...pair, kind: "no-choice" };
  }
  return null;
}
