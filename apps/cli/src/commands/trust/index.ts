import type { Command } from "../../command.ts";
import { createTrust, delegateTrust, pullTrust, revokeTrust, viewTrust } from "./trust.ts";
import { showOnlineKey } from "./online-key.ts";

export const commands: readonly Command[] = [
  createTrust,
  delegateTrust,
  revokeTrust,
  pullTrust,
  viewTrust,
  showOnlineKey,
];
