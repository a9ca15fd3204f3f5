import type { Command } from "../../command.ts";
import { brokerConfig } from "./config.ts";
import { brokerRevocations } from "./revocations.ts";

export const commands: readonly Command[] = [brokerConfig, brokerRevocations];
