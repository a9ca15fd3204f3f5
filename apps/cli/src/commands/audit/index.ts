import type { Command } from "../../command.ts";
import { listAudit } from "./list.ts";
import { verifyAuditLog } from "./verify.ts";

export const commands: readonly Command[] = [listAudit, verifyAuditLog];
