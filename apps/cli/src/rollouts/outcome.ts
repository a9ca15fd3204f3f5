import type { RolloutState } from "@fairlead/protocol";
import { exitCodes } from "../exit-codes.ts";

/** Exit code of an ended rollout; null while it goes on. */
export const exitByRolloutState: Readonly<Record<RolloutState, number | null>> = {
  draft: null,
  pending_approval: null,
  ready: null,
  running: null,
  paused: null,
  rolling_back: null,
  succeeded: exitCodes.ok,
  failed: exitCodes.rolledBack,
  canceled: exitCodes.rolledBack,
  rolled_back: exitCodes.rolledBack,
  rollback_failed: exitCodes.rolledBack,
};
