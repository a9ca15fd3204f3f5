import type { Command } from "../../command.ts";
import { listAlerts } from "./list.ts";
import { resolveAlert } from "./resolve.ts";

export const commands: readonly Command[] = [listAlerts, resolveAlert];
