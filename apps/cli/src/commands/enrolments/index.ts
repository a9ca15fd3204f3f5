import type { Command } from "../../command.ts";
import { createToken } from "./create-token.ts";
import { listEnrolmentTokens, revokeEnrolmentToken } from "./tokens.ts";
import { listEnrolments } from "./list.ts";
import { allowEndorsement, listEndorsements, removeEndorsement } from "./endorsements.ts";

export const commands: readonly Command[] = [
  createToken,
  listEnrolmentTokens,
  revokeEnrolmentToken,
  listEnrolments,
  allowEndorsement,
  listEndorsements,
  removeEndorsement,
];
