import { toErrorMessage, type Logger } from "@fairlead/kernel";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DataPaths } from "../paths.ts";
import type { ServingAddress } from "../serve/ipc.ts";
import { toEndpoint } from "./reported.ts";

const toPath = (paths: DataPaths) => join(paths.run, "endpoint");

/** Tells programs on the device where to ask, with or without a plane. */
export function noteEndpoint(paths: DataPaths, address: ServingAddress, logger: Logger): void {
  try {
    writeFileSync(toPath(paths), `${toEndpoint(address) ?? ""}\n`, { mode: 0o600 });
  } catch (error) {
    logger.warn("the endpoint could not be noted", { reason: toErrorMessage(error) });
  }
}

export function readEndpoint(paths: DataPaths): string | null {
  try {
    return readFileSync(toPath(paths), "utf8").trim() || null;
  } catch {
    return null;
  }
}

/** Where it was, somebody else may answer. */
export function forgetEndpoint(paths: DataPaths): void {
  rmSync(toPath(paths), { force: true });
}
