import { ClientError, type Client } from "@fairlead/client";
import type { RolloutSpec } from "@fairlead/protocol";
import type { PushUi } from "../models/push.ts";
import type { Workplace } from "../trust/workplace.ts";
import type { FleetDocument } from "./documents.ts";

export type Effect = "create" | "change" | "unchanged";

/** What one document means for the server: shown by `--dry-run`, done by `write`. */
export interface Step {
  readonly subject: string;
  readonly effect: Effect;
  readonly lines: readonly string[];
  /** Tries that what writing takes is here, such as keys and their passphrase; asked of every step before the first one writes. */
  readonly prepare?: () => Promise<void>;
  /**
   * Text for the user, such as a secret that is shown once; null when there is nothing to say. `tell` says what is done
   * already, should the rest of the step fail.
   */
  readonly write: (tell: (done: string) => void) => Promise<string | null>;
  /** The text is a secret that nobody can ask for again. */
  readonly isShownOnce?: true;
}

export interface Scope {
  readonly client: Client;
  readonly file: string;
  readonly ui: PushUi;
  readonly nowMs: number;
  /** What is done before this document. */
  readonly before: readonly FleetDocument[];
  /** Rollouts that documents before this one begin. */
  readonly begun: readonly RolloutSpec[];
  /** The part of the fleet that the token reaches, as a selector; asked once. */
  readonly readReach: () => Promise<string>;
  /** Opened only when something is to be signed. */
  readonly workplace: () => Workplace;
}

export const orNull = async <Found>(find: () => Promise<Found>): Promise<Found | null> => {
  try {
    return await find();
  } catch (error) {
    if (error instanceof ClientError && error.code === "not_found") return null;
    throw error;
  }
};
