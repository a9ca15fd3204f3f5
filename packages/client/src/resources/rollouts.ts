import {
  rolloutHistoryEntrySchema,
  rolloutStatusSchema,
  rolloutSummarySchema,
  type RolloutAction,
  type RolloutHistoryEntry,
  type RolloutSpec,
  type RolloutStatus,
  type RolloutSummary,
} from "@fairlead/protocol";
import type { Transport } from "../transport.ts";
import { readAll, type ListOptions } from "./list.ts";

export interface RolloutsClient {
  list(options?: ListOptions): Promise<RolloutSummary[]>;
  get(rolloutId: string, signal?: AbortSignal): Promise<RolloutStatus>;
  create(spec: RolloutSpec, idempotencyKey?: string): Promise<RolloutStatus>;
  /** `etag` makes the action fail with `precondition_failed` when the rollout changed since it was read. */
  act(
    rolloutId: string,
    action: {
      readonly action: RolloutAction;
      readonly reason: string;
      /** The stage that a promotion is meant for. */
      readonly stage?: string;
      readonly etag?: string;
    },
  ): Promise<RolloutStatus>;
  history(rolloutId: string): Promise<RolloutHistoryEntry[]>;
}

export function createRolloutsClient(transport: Transport): RolloutsClient {
  return {
    list: (options) => readAll(transport, { path: ["rollouts"], item: rolloutSummarySchema }, options),
    get: (id, signal) =>
      transport.read(rolloutStatusSchema, {
        method: "GET",
        path: ["rollouts", id],
        ...(signal === undefined ? {} : { signal }),
      }),
    create: (json, idempotencyKey) =>
      transport.read(rolloutStatusSchema, {
        method: "POST",
        path: ["rollouts"],
        json,
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      }),
    act: (id, { action, reason, stage, etag }) =>
      transport.read(rolloutStatusSchema, {
        method: "POST",
        path: ["rollouts", id, "actions"],
        json: { action, reason, ...(stage === undefined ? {} : { stage }) },
        ...(etag === undefined ? {} : { headers: { "if-match": etag } }),
      }),
    history: (id) => readAll(transport, { path: ["rollouts", id, "history"], item: rolloutHistoryEntrySchema }),
  };
}
