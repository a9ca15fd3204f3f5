import { constants } from "node:fs";
import { access, mkdir, open, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { toBackoffDelayMs, toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import type { ServingAddress } from "../serve/ipc.ts";
import { installFile } from "../state/install-file.ts";
import { modelDocumentSchema, toBatchRequest, type ModelDocument } from "./batch-request.ts";
import { callEndpoint } from "./endpoint-client.ts";

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
/** Nothing is wrong with a file that got one of these: the model is not there yet, or others are served first. */
const laterStatuses: ReadonlySet<number> = new Set([404, 408, 429, 503, 504]);

class Later extends Error {}
class Poisoned extends Error {}

/**
 * Inference over the files of a folder, in the idle gaps of the device: each file of `in` gets one answer
 * `out/<file>.json`, or goes to `failed` with its reason beside it. The answer is on disk before the file goes, and a
 * file that has an answer is not asked about again, so a kill at any moment loses nothing and answers nothing anew.
 * Put files in place by renaming; names that begin with a dot or end with `.part` are left alone.
 */
export class FolderJob implements Service {
  readonly name: string;
  readonly #options: FolderJobOptions;
  readonly #stop = new AbortController();
  #done: Promise<void> = Promise.resolve();

  constructor(options: FolderJobOptions) {
    this.#options = options;
    this.name = `batch ${options.name}`;
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
    const model = await this.#readModel();
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
        const body = await this.#ask(name, source, model);
        await writeFile(`${answer}.part`, body);
        await installFile(`${answer}.part`, answer);
      }
      await unlink(source);
    } catch (error) {
      if (!(error instanceof Poisoned)) throw error;
      await writeFile(join(folder, "failed", `${name}.reason.txt`), `${error.message}\n`);
      await rename(source, join(folder, "failed", name));
      this.#options.logger.warn("a file of a batch failed", { job: this.name, file: name, reason: error.message });
    }
  }

  async #readModel(): Promise<ModelDocument> {
    const answer = await this.#call(`/v2/models/${encodeURIComponent(this.#options.model)}`);
    if (answer.status !== 200) throw new Later(`the model answers ${answer.status}`);
    return modelDocumentSchema.parse(JSON.parse(answer.body.toString("utf8")));
  }

  async #ask(name: string, source: string, model: ModelDocument): Promise<Buffer> {
    const made = toBatchRequest(name, await readBounded(source), model);
    if (made.kind === "unusable") throw new Poisoned(made.reason);
    const path = `/v2/models/${encodeURIComponent(this.#options.model)}/infer`;
    const { status, body } = await this.#call(path, made.request);
    if (status === 200) return body;
    const text = body.toString("utf8").slice(0, 500);
    throw laterStatuses.has(status) ? new Later(`${status} ${text}`) : new Poisoned(`${status} ${text}`);
  }

  async #call(path: string, request?: Parameters<typeof callEndpoint>[1]["request"]) {
    const address = this.#options.address();
    if (address === null) throw new Later("the serving process is not ready");
    const client = `batch-${this.#options.name}`;
    return await callEndpoint(address, {
      ...{ path, client, signal: this.#stop.signal },
      ...(request === undefined ? {} : { request }),
    });
  }
}

async function readBounded(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { size } = await file.stat();
    if (size > maxFileBytes) throw new Poisoned(`the file is larger than ${maxFileBytes} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
