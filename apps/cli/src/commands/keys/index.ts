import type { Command } from "../../command.ts";
import { addKey, generateKey, listKeyFiles, rotateKeys } from "./keys.ts";

export const commands: readonly Command[] = [generateKey, addKey, listKeyFiles, rotateKeys];
