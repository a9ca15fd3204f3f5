import type { Command } from "../../command.ts";
import { brokerConfig } from "./config.ts";

export const commands: readonly Command[] = [brokerConfig];
