import type { Evidence, MeasurementKind } from "@fairlead/protocol";

/** A file of the agent or its configuration, which has no expected digest on the device. */
export interface MeasuredFile {
  readonly kind: Exclude<MeasurementKind, "model">;
  /** Stable name, never a path outside: `agent/src/main.ts`. At most 256 characters. */
  readonly name: string;
  readonly path: string;
  /** An optional file that is absent is left out of the list; any other that cannot be read is a failing measurement. */
  readonly optional?: boolean;
}

/** The model file that a slot must have on disk: path and digest of its record. */
export interface ModelFile {
  readonly slot: string;
  readonly path: string;
  readonly digest: string;
}

/** What is measured. Asked again at each measurement; a rejection becomes a failing measurement. */
export interface FileSources {
  readonly agent: () => Promise<readonly MeasuredFile[]>;
  /** One per slot that has a build; synchronous and cheap, since it is asked every second. */
  readonly models: () => readonly ModelFile[];
  readonly configuration: () => Promise<readonly MeasuredFile[]>;
}

/** Fits the agent's outbox. */
export interface EvidenceOutbox {
  append(kind: "evidence", body: { evidence: Evidence }): EvidenceOutcome;
}

export type EvidenceOutcome =
  | { readonly kind: "stored" }
  | { readonly kind: "refused"; readonly code: string; readonly reason: string };
