import { constants } from "node:fs";
import { access, mkdir, open, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { toBackoffDelayMs, toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import type { ServingAddress } from "../serve/ipc.ts";
import { installFile } from "../state/install-file.ts";
import { ModelAsker, PoisonedError } from "./model-asker.ts";
import type { ModelDocument } from "./source-request.ts";

export interface FolderJobOptions {
  readonly name: string;
  readonly model: string;
  /** Has `in`, `out` and `failed` below it, all on one file system. */
  readonly folder: string;
  /** Files that are asked about at once. */
  readonly parallel: number;
  /** Null while the serving process starts. */
  readonly address: () => ServingAddress | null;
  readonly random: () => number;
  readonly logger: Logger;
}

const pollMs = 500;
const maxFileBytes = 64 * 1_048_576;
/** Files of one look, so that a folder with a million files is worked on from its first. */
const maxFiles = 1_000;
/**
 * Inference over the files of a folder, in the idle gaps of the device: each file of `in` gets one answer
 * `out/<file>.json`, or goes to `failed` with its reason beside it. The answer is on disk before the file goes, and a
 * file that has an answer is not asked about again, so a kill at any moment loses nothing and answers nothing anew.
 * Put files in place by renaming; names that begin with a dot or end with `.part` are left alone.
 */
export class FolderJob implements Service {
  readonly name: string;
  readonly #options: FolderJobOptions;
  readonly #asker: ModelAsker;
  readonly #stop = new AbortController();
  #done: Promise<void> = Promise.resolve();

  constructor(options: FolderJobOptions) {
    this.#options = options;
    this.name = `batch ${options.name}`;
    const { model, address } = options;
    const client = `batch-${options.name}`;
    this.#asker = new ModelAsker({ model, address, client, priority: "batch", signal: this.#stop.signal });
  }

  async start(): Promise<void> {
    for (const part of ["in", "out", "failed"]) await mkdir(join(this.#options.folder, part), { recursive: true });
    this.#done = this.#work();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #work(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      let waitMs = pollMs;
      try {
        const worked = await this.#workOnce();
        failures = 0;
        if (worked > 0) waitMs = 0;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        waitMs = toBackoffDelayMs({ baseMs: 200, maxMs: 10_000 }, failures, this.#options.random());
        if (failures === 0)
          this.#options.logger.info("batch work waits", { job: this.name, reason: toErrorMessage(error) });
        failures += 1;
      }
      await delay(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  /** One look into the folder; how many files were dealt with. */
  async #workOnce(): Promise<number> {
    const { folder, parallel } = this.#options;
    const names = (await readdir(join(folder, "in"), { withFileTypes: true }))
      .filter((entry) => entry.isFile() && !entry.name.startsWith(".") && !entry.name.endsWith(".part"))
      .map((entry) => entry.name)
      .toSorted()
      .slice(0, maxFiles);
    if (names.length === 0) return 0;
    const model = await this.#asker.readModel();
    const queue = names.values();
    const work = async (): Promise<void> => {
      for (const name of queue) {
        if (this.#stop.signal.aborted) return;
        await this.#workOn(name, model);
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallel, names.length) }, work));
    return names.length;
  }

  async #workOn(name: string, model: ModelDocument): Promise<void> {
    const { folder } = this.#options;
    const [source, answer] = [join(folder, "in", name), join(folder, "out", `${name}.json`)];
    try {
      const known = await access(answer, constants.F_OK).then(
        () => true,
        () => false,
      );
      if (!known) {
        const form = name.endsWith(".json") ? "json" : "bytes";
        const body = await this.#asker.ask({ form, bytes: await readBounded(source) }, model);
        await writeFile(`${answer}.part`, body);
        await installFile(`${answer}.part`, answer);
      }
      await unlink(source);
    } catch (error) {
      if (!(error instanceof PoisonedError)) throw error;
      await writeFile(join(folder, "failed", `${name}.reason.txt`), `${error.message}\n`);
      await rename(source, join(folder, "failed", name));
      this.#options.logger.warn("a file of a batch failed", { job: this.name, file: name, reason: error.message });
    }
  }
}

async function readBounded(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { size } = await file.stat();
    if (size > maxFileBytes) throw new PoisonedError(`the file is larger than ${maxFileBytes} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
