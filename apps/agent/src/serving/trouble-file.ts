import { toErrorMessage, type Logger } from "@fairlead/kernel";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { DataPaths } from "../paths.ts";
import type { ServingError } from "../serve/ipc.ts";

const troubleSchema = z.strictObject({
  code: z.string().max(64),
  message: z.string().max(2_000),
  hint: z.string().max(2_000).optional(),
});

const toPath = (paths: DataPaths) => join(paths.run, "serving-trouble.json");

/** Why the serving process does not come up, for programs beside the agent; null when it does, or nobody noted it. */
export function readServingTrouble(paths: DataPaths): ServingError | null {
  try {
    const { hint, ...rest } = troubleSchema.parse(JSON.parse(readFileSync(toPath(paths), "utf8")));
    return hint === undefined ? rest : { ...rest, hint };
  } catch {
    return null;
  }
}

/** @returns whether it is news, an agent of before included */
export function noteServingTrouble(paths: DataPaths, trouble: ServingError | null, logger: Logger): boolean {
  const before = readServingTrouble(paths);
  if (before?.code === trouble?.code && before?.message === trouble?.message) return false;
  try {
    if (trouble === null) rmSync(toPath(paths), { force: true });
    else writeFileSync(toPath(paths), JSON.stringify(trouble), { mode: 0o600 });
  } catch (error) {
    logger.warn("the trouble of the serving process could not be noted", { reason: toErrorMessage(error) });
  }
  return true;
}
