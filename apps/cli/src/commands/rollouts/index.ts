import type { Command } from "../../command.ts";
import { createRollout } from "./create.ts";
import { rolloutStatus } from "./status.ts";
import { listRollouts, rolloutHistory } from "./list.ts";
import { rolloutActions } from "./act.ts";

export const commands: readonly Command[] = [
  createRollout,
  rolloutStatus,
  listRollouts,
  rolloutHistory,
  ...rolloutActions,
];
