import type { Command } from "../../command.ts";
import { describeRemediation, listRemediations } from "./remediations.ts";

export const commands: readonly Command[] = [listRemediations, describeRemediation];
