import type { EnergySample, EnergySource } from "@fairlead/energy";
import type { HostMetrics, TelemetryWindow } from "@fairlead/protocol";
import type { CollectResult } from "../serve/ipc.ts";

/** The process that counts requests. `collect` rejects in bounded time while it restarts. */
export interface CountedServing {
  collect(): Promise<CollectResult>;
}

/** The part of `HardwareProbe` that a window needs. */
export interface WindowHardware {
  readonly energySource: EnergySource;
  sampleHost(): Promise<HostMetrics>;
  sampleEnergy(): Promise<EnergySample>;
}

/** Fits the agent's outbox. */
export interface TelemetryOutbox {
  append(kind: "telemetry", body: { windows: TelemetryWindow[] }): AppendOutcome;
}

export type AppendOutcome =
  | { readonly kind: "stored" }
  | { readonly kind: "refused"; readonly code: string; readonly reason: string };

/** What a slot's trial is judged by, between two windows. */
export interface TrialObserver {
  /** True while any slot has a build on trial. */
  onTrial(): boolean;
  /** Counts since the last call for this build; builds that are not on trial are to be ignored. */
  onTrialCounts(slot: string, digest: string, counts: { readonly requests: number; readonly errors: number }): void;
}
