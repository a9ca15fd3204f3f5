import type { Clock, Logger } from "@fairlead/kernel";
import { deviceIdSchema } from "@fairlead/protocol";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { DataPaths } from "../paths.ts";
import { syncFolder, writeFileDurably } from "../state/install-file.ts";

/** `<data>/wipe.json`: this device was told by its plane to become empty. */
const intentSchema = z.strictObject({ v: z.literal(1), device: deviceIdSchema, askedAtMs: z.number() });
export type WipeIntent = z.infer<typeof intentSchema>;

const toPath = ({ root }: Pick<DataPaths, "root">): string => join(root, "wipe.json");

/** On the disk before the first file goes: from here on no start of the agent serves again. */
export function saveWipeIntent(paths: DataPaths, intent: WipeIntent): void {
  writeFileDurably(toPath(paths), JSON.stringify(intentSchema.parse(intent)));
}

/** That the file is there is what counts; what it says is for people, so damage to it stops nothing. */
export function isWiping(paths: Pick<DataPaths, "root">): boolean {
  return existsSync(toPath(paths));
}

/** Who was told, and when; undefined when that can no longer be read. */
export function readWipeIntent(paths: DataPaths): WipeIntent | undefined {
  try {
    return intentSchema.parse(JSON.parse(readFileSync(toPath(paths), "utf8")));
  } catch {
    return undefined;
  }
}

/** The last step: nothing is left to do. */
export function removeWipeIntent(paths: DataPaths): void {
  rmSync(toPath(paths), { force: true });
  syncFolder(paths.root);
}

/** The order is on the disk first; then the agent has to end for it. */
export function noteWipe(told: {
  readonly paths: DataPaths;
  readonly device: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onWipe: () => void;
}): void {
  saveWipeIntent(told.paths, { v: 1, device: told.device, askedAtMs: told.clock.nowMs() });
  told.logger.warn("this device is decommissioned: everything on it goes");
  told.onWipe();
}
