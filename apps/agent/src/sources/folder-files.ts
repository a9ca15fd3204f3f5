import { constants } from "node:fs";
import { access, open, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hasErrorCode, toErrorMessage } from "@fairlead/kernel";
import { installFile } from "../state/install-file.ts";
import { PoisonedError } from "./model-asker.ts";

const maxFileBytes = 64 * 1_048_576;
/** What a file system takes, less what is put behind a name here. */
const maxNameBytes = 255 - ".reason.txt".length;

/** What waits in a folder, in order; names that begin with a dot or end with `.part` are somebody's unfinished work. */
export async function listInputs(folder: string): Promise<string[]> {
  return (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.startsWith(".") && !entry.name.endsWith(".part"))
    .map((entry) => entry.name)
    .toSorted();
}

/** Null when the file is gone. @throws PoisonedError when it can never be read */
export async function readInput(path: string): Promise<Buffer | null> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    const { size } = await file.stat();
    if (size > maxFileBytes) throw new PoisonedError(`the file is larger than ${maxFileBytes} bytes`);
    return await file.readFile();
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return null;
    if (["EACCES", "EPERM", "ELOOP"].some((code) => hasErrorCode(error, code)))
      throw new PoisonedError(`the file cannot be read: ${toErrorMessage(error)}`);
    throw error;
  }
}

/** Where the answer to a file lies. @throws PoisonedError when its name leaves no room for it */
export function toAnswerPath(folder: string, name: string): string {
  if (Buffer.byteLength(name) > maxNameBytes) throw new PoisonedError("its name is too long for an answer's");
  return join(folder, `${name}.json`);
}

export async function isThere(path: string): Promise<boolean> {
  return await access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}

/** The whole answer or none, through a power cut too. */
export async function writeAnswer(path: string, body: Uint8Array): Promise<void> {
  await writeFile(`${path}.part`, body);
  await installFile(`${path}.part`, path);
}

/** Puts a file of `in` aside, with its reason beside it. */
export async function putAside(folder: string, name: string, reason: string): Promise<void> {
  const noted = Buffer.byteLength(name) > maxNameBytes ? `${name.slice(0, 50)}…` : name;
  await writeFile(join(folder, "failed", `${noted}.reason.txt`), `${reason}\n`);
  await rename(join(folder, "in", name), join(folder, "failed", name));
}
