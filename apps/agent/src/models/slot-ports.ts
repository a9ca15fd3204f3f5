import type { Clock, Logger } from "@fairlead/kernel";
import type { ArtifactReference, EventData, SlotChoice } from "@fairlead/protocol";
import type { LoadScheduling, PlacementReport, ServingRequest, ServingResults } from "../serve/ipc.ts";
import type { DeviceOffers } from "./load-target.ts";
import type { Saved } from "./saved.ts";
import type { InstalledBuild, SlotRecord } from "./slot-record.ts";

/** How long the serving process may take for one step of a build before it counts as hung, in milliseconds. */
export interface StepLimits {
  /** Of a load, beside the deadlines of the runtime that loads. */
  readonly loadMs: number;
  readonly selfTestMs: number;
}

/** What a slot needs from the rest of the agent. */
export interface SlotPorts {
  readonly saved: Saved<SlotRecord>;
  readonly serving: {
    readonly ready: boolean;
    /** Why the process that serves does not come up; null when it does. */
    readonly trouble: string | null;
    request<Request extends ServingRequest>(
      request: Request,
      timeoutMs?: number,
    ): Promise<ServingResults[Request["kind"]]>;
  };
  /** Brings the artifact into the store, checked. Codes of download and store. */
  readonly fetch: (
    artifact: ArtifactReference,
    signal: AbortSignal,
    onProgress: (ratio: number) => void,
  ) => Promise<void>;
  /** Why this release must not be fetched (any more); null while it may. */
  /** Why nothing may be served now; null while it may. */
  readonly held: () => string | null;
  readonly judgeTime: (releaseId: string) => { readonly code: string; readonly reason: string } | null;
  readonly toPath: (digest: string) => string;
  readonly emit: (data: EventData) => void;
  /** Called after each saved change and each change of what is served. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly threads: number;
  /** What this device offers to models, and by which runtime. */
  readonly offers: DeviceOffers;
  readonly deadlineMs: number;
  /** How the slot shares the device; undefined for the defaults. */
  readonly scheduling: LoadScheduling | undefined;
  /** Absent for the defaults of steps.ts. */
  readonly limits?: StepLimits;
}

export interface SlotView {
  readonly record: SlotRecord;
  readonly served: InstalledBuild | null;
  readonly servedLoadId: string | null;
  readonly progressRatio: number | null;
  readonly placement: PlacementReport | null;
  /** The candidate runs beside what is served. */
  readonly shadowing: boolean;
  readonly trouble: string | null;
  /** How the build was chosen; null or absent when there was nothing to choose. */
  readonly choice?: SlotChoice | null;
}
