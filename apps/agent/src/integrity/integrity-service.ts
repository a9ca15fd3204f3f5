import type { Clock, Logger, Service } from "@fairlead/kernel";
import type { Evidence, EventData } from "@fairlead/protocol";
import type { EvidenceOutbox, FileSources } from "./ports.ts";

export interface IntegrityServiceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly files: FileSources;
  readonly outbox: EvidenceOutbox;
  /** Path of the state file that holds the chain's head and the link that may not have reached the outbox. */
  readonly stateFile: string;
  /** Sends a discrete event: `integrity-failed`, `integrity-restored`. */
  readonly emit: (data: EventData) => void;
  /** The slot's file is not what its record says. Called once per failure, and again after a restart while it lasts. */
  readonly onModelMismatch: (slot: string, digest: string) => void;
  /** The file that failed is right again. */
  readonly onModelRestored: (slot: string, digest: string) => void;
  /** Default 30,000. */
  readonly periodMs?: number;
  /** Default 1,000. */
  readonly checkMs?: number;
}

export interface IntegrityService extends Service {
  /** Measures and hashes everything and appends one full link. Null when it could not be appended (it is tried again). */
  measureNow(trigger: Evidence["trigger"]): Promise<Evidence | null>;
  /** One turn of the timer: compares the model files' stamps and measures what is due. Harmless to call at any time. */
  check(): Promise<void>;
}

export function createIntegrityService(options: IntegrityServiceOptions): IntegrityService {
  throw new Error(`not written yet: ${options.stateFile}`);
}
