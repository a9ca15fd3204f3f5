import { statSync } from "node:fs";
import { join } from "node:path";
import { toErrorMessage, type Logger } from "@fairlead/kernel";
import * as z from "zod";
import { openStateFile, type StateFile } from "../state/state-file.ts";
import { decideNextAttempt, noAttempts, type Attempts, type Ending, type NextAttempt } from "./attempts.ts";

const maxSaved = 1_000;
const suspectSchema = z.strictObject({
  name: z.string().max(1_024),
  breaks: z.int().min(1).max(100),
  /** Size and time of change: another file of that name begins anew. */
  stamp: z.string().max(64),
});
const savedSchema = z.strictObject({ suspects: z.array(suspectSchema).max(maxSaved) });

interface Trouble {
  readonly attempts: Attempts;
  readonly stamp: string;
  readonly dueMs: number;
}

/** Long enough that the runs that two such files end are not taken for a build that crashes by itself. */
const policy = { baseMs: 5_000, maxMs: 120_000 };

export interface TroubledFilesOptions {
  /** The folder in which the files lie. */
  readonly folder: string;
  readonly statePath: string;
  readonly random: () => number;
  readonly logger: Logger;
}

/** Files of a batch that could not be answered yet. Those that broke something are remembered through a restart of the agent. */
export class TroubledFiles {
  readonly #options: TroubledFilesOptions;
  readonly #state: StateFile<z.infer<typeof savedSchema>>;
  readonly #troubles = new Map<string, Trouble>();

  constructor(options: TroubledFilesOptions) {
    this.#options = options;
    this.#state = openStateFile(options.statePath, savedSchema);
  }

  load(): void {
    const loaded = this.#state.load();
    if (loaded.kind === "absent" || loaded.kind === "lost") return;
    for (const { name, breaks, stamp } of loaded.value.suspects)
      this.#troubles.set(name, { attempts: { failures: breaks, breaks }, stamp, dueMs: 0 });
  }

  /** Forgets files that are gone or others by now. */
  look(): void {
    for (const [name, { stamp }] of this.#troubles) if (this.#toStamp(name) !== stamp) this.forget(name);
  }

  isDue(name: string): boolean {
    return (this.#troubles.get(name)?.dueMs ?? 0) <= performance.now();
  }

  /** It broke something before, so it is to be tried while nothing else is. */
  isSuspect(name: string): boolean {
    return (this.#troubles.get(name)?.attempts.breaks ?? 0) > 0;
  }

  note(name: string, ending: Ending): NextAttempt {
    const before = this.#troubles.get(name)?.attempts ?? noAttempts;
    const next = decideNextAttempt(before, ending, { policy, random: this.#options.random() });
    if (next.kind === "give-up") return next;
    const { attempts, waitMs } = next;
    this.#troubles.set(name, { attempts, stamp: this.#toStamp(name), dueMs: performance.now() + waitMs });
    if (ending === "broken") this.#save();
    return next;
  }

  forget(name: string): void {
    const wasSuspect = this.isSuspect(name);
    this.#troubles.delete(name);
    if (wasSuspect) this.#save();
  }

  #toStamp(name: string): string {
    const stat = statSync(join(this.#options.folder, name), { throwIfNoEntry: false });
    return stat === undefined ? "" : `${stat.size} ${stat.mtimeMs}`;
  }

  #save(): void {
    const suspects = [...this.#troubles]
      .filter(([name]) => this.isSuspect(name))
      .slice(-maxSaved)
      .map(([name, { attempts, stamp }]) => ({ name, breaks: attempts.breaks, stamp }));
    try {
      this.#state.save({ suspects });
    } catch (error) {
      // They count on in memory: a full disk must not keep a bad file in the way of others.
      this.#options.logger.warn("attempts of a batch are not saved", { reason: toErrorMessage(error) });
    }
  }
}
