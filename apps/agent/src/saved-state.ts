import type { Logger } from "@fairlead/kernel";
import type * as z from "zod";
import type { Saved } from "./models/saved.ts";
import { openStateFile } from "./state/state-file.ts";

export interface SavedStateOptions<Schema extends z.ZodType> {
  readonly path: string;
  readonly schema: Schema;
  readonly logger: Logger;
}

/** A state file whose damage is logged: a part that finds nothing begins anew and converges from the plane's wish. */
export function openSavedState<Schema extends z.ZodType>(options: SavedStateOptions<Schema>): Saved<z.infer<Schema>> {
  const { path, schema, logger } = options;
  const file = openStateFile(path, schema);
  return {
    load() {
      const loaded = file.load();
      switch (loaded.kind) {
        case "absent":
          return undefined;
        case "loaded":
          return loaded.value;
        case "recovered":
          logger.warn("a state file was damaged; the save before it is used", { path, reason: loaded.reason });
          return loaded.value;
        case "lost":
          logger.error("a state file is lost", { path, reason: loaded.reason });
          return undefined;
      }
    },
    save: (value) => file.save(value),
  };
}
