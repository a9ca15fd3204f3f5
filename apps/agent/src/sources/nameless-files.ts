import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toErrorMessage } from "@fairlead/kernel";
import { toNotedName } from "./folder-files.ts";

const reason = "its name is no UTF-8, so that no answer can be named after it";

/** Files whose names no text can hold: what a listing makes of such a name opens nothing. They go to `failed`. */
export class NamelessFiles {
  readonly #folder: string;
  readonly #tell: (name: string, reason: string) => void;
  /** Told once, however often they are met. */
  #left = new Set<string>();

  constructor(folder: string, tell: (name: string, reason: string) => void) {
    this.#folder = folder;
    this.#tell = tell;
  }

  /** How many were put aside; one that cannot be moved stands in nobody's way. */
  async putAside(names: readonly Buffer[]): Promise<number> {
    const left = new Set<string>();
    for (const name of names) {
      // Every byte is a character there, and most of these names were written so.
      const shown = name.toString("latin1");
      try {
        await this.#move(name, toNotedName(shown));
        this.#tell(shown, reason);
      } catch (error) {
        left.add(shown);
        if (!this.#left.has(shown)) this.#tell(shown, `${reason}; it stays where it is: ${toErrorMessage(error)}`);
      }
    }
    this.#left = left;
    return names.length - left.size;
  }

  async #move(name: Buffer, noted: string): Promise<void> {
    const toPath = (part: string) => Buffer.concat([Buffer.from(join(this.#folder, part, "/")), name]);
    await writeFile(join(this.#folder, "failed", `${noted}.reason.txt`), `${reason}\n`);
    await rename(toPath("in"), toPath("failed"));
  }
}
