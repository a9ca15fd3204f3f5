import { createHash } from "node:crypto";
import { mkdir, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toErrorMessage } from "@fairlead/kernel";
import { installFile } from "../state/install-file.ts";
import { readStamp, toAnswerPath } from "./folder-files.ts";

/** As many as a name leaves room for: 66 bits. */
const markChars = 11;

/** Tells which file an answer is for, in as few characters as a file's name can spare. */
const toMark = (stamp: string): string => createHash("sha256").update(stamp).digest("base64url").slice(0, markChars);

/**
 * The answers to the files of a folder. Each lies in `.answered`, under the mark of its file, until that file is gone,
 * so that after a kill it is known which file it was for: neither a name nor a time could say it, since another file
 * may come under both.
 */
export class FolderAnswers {
  readonly #folder: string;
  readonly #onLeft: (name: string, reason: string) => void;

  /** @param onLeft called for an answer that could not be brought to its place */
  constructor(folder: string, onLeft: (name: string, reason: string) => void) {
    this.#folder = folder;
    this.#onLeft = onLeft;
  }

  /** Completes what a kill cut off. */
  async open(): Promise<void> {
    const kept = join(this.#folder, ".answered");
    await mkdir(kept, { recursive: true });
    for (const entry of await readdir(kept))
      await this.#finish(entry).catch((error: unknown) => this.#onLeft(entry, toErrorMessage(error)));
  }

  /** The whole answer or none, through a power cut too; then the file goes, unless another has come under its name. */
  async give({ name, stamp }: { readonly name: string; readonly stamp: string }, body: Uint8Array): Promise<void> {
    const part = `${toAnswerPath(join(this.#folder, "out"), name)}.part`;
    const entry = `${toMark(stamp)}${name}`;
    await writeFile(part, body);
    await installFile(part, join(this.#folder, ".answered", entry));
    await this.#finish(entry);
  }

  async #finish(entry: string): Promise<void> {
    const name = entry.slice(markChars);
    const source = join(this.#folder, "in", name);
    const stamp = await readStamp(source);
    if (stamp !== null && toMark(stamp) === entry.slice(0, markChars)) await unlink(source);
    await rename(join(this.#folder, ".answered", entry), toAnswerPath(join(this.#folder, "out"), name));
  }
}
