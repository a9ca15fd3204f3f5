import { constants } from "node:fs";
import { lstat, open, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hasErrorCode, toErrorMessage } from "@fairlead/kernel";
import { toFileStamp } from "../state/file-stamp.ts";
import { PoisonedError } from "./model-asker.ts";

const maxFileBytes = 64 * 1_048_576;
/** What a file system takes, less what is put behind a name here. */
const maxNameBytes = 255 - ".reason.txt".length;

export interface Listing {
  readonly names: readonly string[];
  /** Names that are no UTF-8. */
  readonly nameless: readonly Buffer[];
}

/** What waits in a folder, in order; names that begin with a dot or end with `.part` are somebody's unfinished work. */
export async function listInputs(folder: string): Promise<Listing> {
  const names: string[] = [];
  const nameless: Buffer[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, encoding: "buffer" })) {
    const name = entry.name.toString("utf8");
    if (!entry.isFile() || name.startsWith(".") || name.endsWith(".part")) continue;
    if (Buffer.from(name).equals(entry.name)) names.push(name);
    else nameless.push(entry.name);
  }
  return { names: names.toSorted(), nameless };
}

export interface Input {
  readonly bytes: Buffer;
  readonly stamp: string;
}

/** Null when the file is gone. @throws PoisonedError when it can never be read */
export async function readInput(path: string): Promise<Input | null> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    // Before its content: what is written to it meanwhile makes it another file.
    const stat = await file.stat({ bigint: true });
    if (stat.size > maxFileBytes) throw new PoisonedError(`the file is larger than ${maxFileBytes} bytes`);
    return { bytes: await file.readFile(), stamp: toFileStamp(stat) };
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return null;
    if (["EACCES", "EPERM", "ELOOP"].some((code) => hasErrorCode(error, code)))
      throw new PoisonedError(`the file cannot be read: ${toErrorMessage(error)}`);
    throw error;
  }
}

/** Whether the file under this name is still the one that was read. */
export async function isStill(path: string, stamp: string): Promise<boolean> {
  return (await readStamp(path)) === stamp;
}

/** Null when nothing has this name. */
export async function readStamp(path: string): Promise<string | null> {
  try {
    return toFileStamp(await lstat(path, { bigint: true }));
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return null;
    throw error;
  }
}

/** Where the answer to a file lies. @throws PoisonedError when its name leaves no room for it */
export function toAnswerPath(folder: string, name: string): string {
  if (Buffer.byteLength(name) > maxNameBytes) throw new PoisonedError("its name is too long for an answer's");
  return join(folder, `${name}.json`);
}

/** What stands before `.reason.txt`. */
export function toNotedName(name: string): string {
  return Buffer.byteLength(name) > maxNameBytes ? `${name.slice(0, 50)}…` : name;
}

/** Puts a file of `in` aside, with its reason beside it. */
export async function putAside(folder: string, name: string, reason: string): Promise<void> {
  await writeFile(join(folder, "failed", `${toNotedName(name)}.reason.txt`), `${reason}\n`);
  await rename(join(folder, "in", name), join(folder, "failed", name));
}
