import type { Release } from "@fairlead/protocol";
import type { AgentConfig } from "../config.ts";
import type { InstalledBuild } from "../models/slot-record.ts";
import type { Mirrors } from "../models/mirrors.ts";
import { toPolicyFacts } from "./freshness.ts";
import { FreshnessWatch, type FreshnessWatchOptions } from "./freshness-watch.ts";
import { ReleaseAdmission, type AdmissionVerdict, type ReleaseAdmissionOptions } from "./release-admission.ts";

export interface OpenTrustOptions
  extends
    Omit<ReleaseAdmissionOptions, "mirrors" | "onMirrorFailed">,
    Pick<FreshnessWatchOptions, "random" | "emit" | "onChange"> {
  readonly config: AgentConfig["trust"];
  readonly mirrors: Pick<Mirrors, "metadata" | "onMetadataFailed">;
}

export interface AgentTrust {
  /** Does a publisher who may do so vouch for these releases, and is that said freshly? */
  readonly admit: (releases: readonly Release[]) => Promise<AdmissionVerdict>;
  /** Why a command must not bring this build back; null: it may. */
  readonly judgeWayBack: (
    build: Pick<InstalledBuild, "model" | "version" | "releaseId">,
  ) => Promise<{ readonly code: string; readonly reason: string } | null>;
  readonly freshness: FreshnessWatch;
  /** What the birth tells of the policy. */
  readonly policyFacts: ReturnType<typeof toPolicyFacts>;
}

/** Who is asked before anything new is taken, and who watches for how long nobody could be asked. */
export async function openTrust(options: OpenTrustOptions): Promise<AgentTrust> {
  const { config, mirrors, nowMs, random, emit, onChange, logger } = options;
  const admission = new ReleaseAdmission({
    ...options,
    mirrors: mirrors.metadata,
    onMirrorFailed: (mirror, failure) => mirrors.onMetadataFailed(mirror, failure),
  });
  const { refreshMs, ...policy } = config;
  const freshness = await FreshnessWatch.open({
    ...{ policy, refreshMs, nowMs, random, emit, onChange, logger },
    refresh: () => admission.refresh(),
    readUntilMs: () => admission.readUntilMs(),
  });
  return {
    freshness,
    policyFacts: toPolicyFacts(policy),
    admit: async (releases) => {
      const verdict = await admission.admit(releases);
      await freshness.judge();
      return verdict;
    },
    judgeWayBack: async (build) => {
      const verdict = await admission.vouch(build);
      await freshness.judge();
      if (verdict.kind !== "refused" || verdict.code !== "target_unknown") return null;
      return { code: "release_invalid", reason: `${verdict.code}: ${verdict.reason}` };
    },
  };
}
