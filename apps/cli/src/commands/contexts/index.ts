import type { Command } from "../../command.ts";
import { addContext, currentContext, listContexts, removeContext, useContext } from "./contexts.ts";

export const commands: readonly Command[] = [addContext, listContexts, useContext, currentContext, removeContext];
