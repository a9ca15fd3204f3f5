import type { Command } from "../../command.ts";
import { createApiToken, listApiTokens, revokeApiToken } from "./tokens.ts";

export const commands: readonly Command[] = [createApiToken, listApiTokens, revokeApiToken];
