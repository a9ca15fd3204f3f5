import type { Command } from "../../command.ts";
import { pushModel } from "./push.ts";
import { describeModel, listModels } from "./list.ts";
import { inspectModel } from "./inspect.ts";

export const commands: readonly Command[] = [pushModel, listModels, describeModel, inspectModel];
