import type { ClientLedger } from "./client-ledger.ts";
import type { Account, Ledger } from "./ledger.ts";
import type { RunEstimate } from "./run-estimate.ts";
import { batchLevel, type Level, type ModelSettings, type Priority } from "./settings.ts";
import type { Ticket, WaitingLine } from "./waiting-line.ts";

export interface Run<Payload> {
  readonly modelId: string;
  readonly instance: number;
  readonly tickets: readonly Ticket<Payload>[];
  readonly rows: number;
  readonly level: Level;
  /** What it was charged. */
  readonly estimateUs: number;
}

export interface Ask<Payload> {
  readonly modelId: string;
  readonly payload: Payload;
  /** What the request says of itself. */
  readonly priority: Priority;
  /** "" for those that give no name. */
  readonly client: string;
  readonly rows: number;
  readonly joinKey: string | null;
  readonly expiresMs: number;
}

export type Refusal = "overloaded" | "quota_exceeded";

export type Enqueued<Payload> =
  | { readonly kind: "queued" }
  | { readonly kind: "refused"; readonly code: Refusal }
  /** Queued in the place of another, which must be told. */
  | { readonly kind: "displaced"; readonly ticket: Ticket<Payload>; readonly code: Refusal };

export type Next<Payload> =
  | { readonly kind: "run"; readonly run: Run<Payload> }
  | { readonly kind: "expired"; readonly tickets: readonly Ticket<Payload>[] }
  /** Nothing to do now; ask again at the time, at the next request or when a run ends. */
  | { readonly kind: "wait"; readonly untilMs: number };

/** One thread of the runtime that holds a model. */
export interface Instance {
  readonly index: number;
  foregroundRuns: number;
  batchRuns: number;
  outstandingUs: number;
  /** Handed over since the instance took its lane. */
  quantumUs: number;
}

/** Work that lanes are shared for, and work for the idle gaps. */
export interface Sides<Part> {
  readonly foreground: Part;
  readonly batch: Part;
}

export type Ledgers = Sides<Ledger>;

export interface Slot {
  readonly name: string;
  readonly accounts: Sides<Account>;
  readonly clients: Sides<ClientLedger>;
  readonly models: Set<string>;
  share: number | null;
}

export interface Model<Payload> {
  readonly id: string;
  readonly slot: Slot;
  readonly settings: ModelSettings;
  readonly instances: readonly Instance[];
  /** Of its slot's foreground work. */
  readonly level: Level;
  readonly lines: Sides<WaitingLine<Payload>>;
  readonly estimate: RunEstimate;
  pending: number;
  seenAtOnce: number;
}

export function toInstance(index: number): Instance {
  return { index, foregroundRuns: 0, batchRuns: 0, outstandingUs: 0, quantumUs: 0 };
}

export function toSide(level: Level): keyof Sides<unknown> {
  return level === batchLevel ? "batch" : "foreground";
}
