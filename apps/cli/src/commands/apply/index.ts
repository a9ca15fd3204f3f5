import type { Command } from "../../command.ts";
import { applyFile } from "./apply.ts";

export const commands: readonly Command[] = [applyFile];
