import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { toBackoffDelayMs, toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import type { ServingAddress } from "../serve/ipc.ts";
import type { ServingEnds } from "./serving-ends.ts";
import { toGivenUpReason } from "./attempts.ts";
import { FolderAnswers } from "./folder-answers.ts";
import { isStill, listInputs, putAside, readInput, toAnswerPath, type Input } from "./folder-files.ts";
import { BrokenError, ModelAsker, PoisonedError, UnservedError } from "./model-asker.ts";
import type { FoundModel, SourceModel } from "./model-asker.ts";
import { NamelessFiles } from "./nameless-files.ts";
import { TroubledFiles } from "./troubled-files.ts";
import { workThrough } from "./work-through.ts";

export interface FolderJobOptions extends SourceModel {
  readonly name: string;
  /** Has `in`, `out` and `failed` below it, all on one file system. */
  readonly folder: string;
  /** Files that are asked about at once. */
  readonly parallel: number;
  /** Null while the serving process starts. */
  readonly address: () => ServingAddress | null;
  readonly ends: Pick<ServingEnds, "count" | "after">;
  readonly random: () => number;
  readonly logger: Logger;
}

const pollMs = 500;
/** Files of one look, so that a folder with a million files is worked on from its first. */
const maxFiles = 1_000;

/**
 * Inference over the files of a folder, in the idle gaps of the device: each file of `in` gets one answer
 * `out/<file>.json`, or goes to `failed` with its reason beside it. The answer is on disk before the file goes, so a kill
 * at any moment loses nothing and answers nothing anew. Another file of the same name is asked about too, and its answer
 * takes the place of the one before; only the file that was read ever goes. No file stands in the way of others: one that could not be answered comes after them, and one that ended its run or the
 * process comes alone, and is given up when it does so again and again (`attempts.ts`).
 */
export class FolderJob implements Service {
  readonly name: string;
  readonly #options: FolderJobOptions;
  readonly #asker: ModelAsker;
  readonly #answers: FolderAnswers;
  readonly #nameless: NamelessFiles;
  readonly #troubled: TroubledFiles;
  readonly #stop = new AbortController();
  #done: Promise<void> = Promise.resolve();

  constructor(options: FolderJobOptions) {
    const { folder, name, random, logger } = options;
    this.#options = options;
    this.name = `batch ${name}`;
    this.#asker = new ModelAsker({
      ...options,
      ...{ client: `batch-${name}`, priority: "batch", signal: this.#stop.signal },
    });
    this.#answers = new FolderAnswers(folder, (file, reason) =>
      logger.warn("an answer of a batch was left behind", { job: this.name, file, reason }),
    );
    this.#nameless = new NamelessFiles(folder, (file, reason) => this.#tellFailed(file, reason));
    const statePath = join(folder, ".attempts.json");
    this.#troubled = new TroubledFiles({ folder: join(folder, "in"), statePath, random, logger });
  }

  async start(): Promise<void> {
    for (const part of ["in", "out", "failed"]) await mkdir(join(this.#options.folder, part), { recursive: true });
    await this.#answers.open();
    this.#troubled.load();
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

  /** One look into the folder; how many files were answered or put aside. */
  async #workOnce(): Promise<number> {
    this.#troubled.look();
    const listing = await listInputs(join(this.#options.folder, "in"));
    let worked = await this.#nameless.putAside(listing.nameless);
    const names = listing.names.filter((name) => this.#troubled.isDue(name));
    const suspects = names.filter((name) => this.#troubled.isSuspect(name)).slice(0, maxFiles);
    const others = names.filter((name) => !this.#troubled.isSuspect(name)).slice(0, maxFiles);
    if (others.length > 0) {
      const model = await this.#asker.readModel();
      const work = (name: string) => this.#workOn(name, model);
      worked += await workThrough(others, { parallel: this.#options.parallel, signal: this.#stop.signal, work });
    }
    // Alone, and right after the process has answered: should it end now, it is this file that ends it.
    for (const name of suspects) if (await this.#workOn(name, await this.#asker.readModel())) worked += 1;
    return worked;
  }

  /** Whether the file was answered or put aside. @throws whatever left it unanswered, once it is noted */
  async #workOn(name: string, model: FoundModel): Promise<boolean> {
    const source = join(this.#options.folder, "in", name);
    let input: Input | null = null;
    try {
      toAnswerPath(this.#options.folder, name);
      input = await readInput(source);
      if (input !== null) await this.#answer(name, input, model);
      this.#troubled.forget(name);
      return input !== null;
    } catch (error) {
      if (this.#stop.signal.aborted || error instanceof UnservedError) throw error;
      // What came under the same name meanwhile is not to blame, and was not asked about.
      if (input !== null && !(await isStill(source, input.stamp))) {
        this.#troubled.forget(name);
        return false;
      }
      if (error instanceof PoisonedError) {
        await this.#giveUp(name, error.message);
        return true;
      }
      const next = this.#troubled.note(name, error instanceof BrokenError ? "broken" : "later");
      if (next.kind === "give-up") await this.#giveUp(name, toGivenUpReason(toErrorMessage(error)));
      throw error;
    }
  }

  async #answer(name: string, { bytes, stamp }: Input, model: FoundModel): Promise<void> {
    const form = name.endsWith(".json") ? "json" : "bytes";
    await this.#answers.give({ name, stamp }, await this.#asker.ask({ form, bytes }, model));
  }

  async #giveUp(name: string, reason: string): Promise<void> {
    await putAside(this.#options.folder, name, reason);
    this.#troubled.forget(name);
    this.#tellFailed(name, reason);
  }

  #tellFailed(file: string, reason: string): void {
    this.#options.logger.warn("a file of a batch failed", { job: this.name, file, reason });
  }
}
