import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, renameSync, statSync } from "node:fs";
import { CodedError, hasErrorCode, toErrorMessage } from "@fairlead/kernel";
import * as z from "zod";
import { syncNow, writeFileDurably } from "./install-file.ts";

/** What a state file held. `recovered`: the file was damaged and the copy of the save before it was taken. */
export type LoadedState<Value> =
  | { readonly kind: "absent" }
  | { readonly kind: "loaded"; readonly value: Value }
  | { readonly kind: "recovered"; readonly value: Value; readonly reason: string }
  | { readonly kind: "lost"; readonly reason: string };

/** One small JSON document that survives a power cut at any instruction. */
export interface StateFile<Value> {
  load(): LoadedState<Value>;
  /** Returns when the value is on the disk. @throws CodedError `state_save_failed`; the old value then still stands */
  save(value: Value): void;
}

const maxStateBytes = 4 * 1_048_576;
/** The checksum finds what is whole JSON and yet not what was written, such as a block of another file. */
const wrapperSchema = z.strictObject({ v: z.literal(1), sha256: z.string().length(64), state: z.unknown() });

function toChecksum(state: unknown): string {
  return createHash("sha256").update(JSON.stringify(state)).digest("hex");
}

type Read<Value> = { readonly value: Value } | { readonly absent: true } | { readonly damage: string };

function readState<Schema extends z.ZodType>(path: string, schema: Schema): Read<z.infer<Schema>> {
  try {
    if (statSync(path).size > maxStateBytes) return { damage: "the file is too large" };
    const wrapper = wrapperSchema.parse(JSON.parse(readFileSync(path, "utf8")));
    if (toChecksum(wrapper.state) !== wrapper.sha256) return { damage: "the checksum does not fit" };
    return { value: schema.parse(wrapper.state) };
  } catch (error) {
    return hasErrorCode(error, "ENOENT") ? { absent: true } : { damage: toErrorMessage(error).slice(0, 300) };
  }
}

/** Nothing is opened or read until `load` or `save` is called. */
export function openStateFile<Schema extends z.ZodType>(path: string, schema: Schema): StateFile<z.infer<Schema>> {
  const previousPath = `${path}.previous`;

  /** Keeps the value in force as the fallback; a damaged file must never replace a good fallback. */
  function keepPrevious(): void {
    if (!("value" in readState(path, schema))) return;
    copyFileSync(path, `${previousPath}.tmp`);
    // Else a power cut could leave the name with nothing in it, and the save before would be lost to a later damage.
    syncNow(`${previousPath}.tmp`);
    renameSync(`${previousPath}.tmp`, previousPath);
  }

  return {
    load() {
      const current = readState(path, schema);
      if ("value" in current) return { kind: "loaded", value: current.value };
      const reason = "damage" in current ? current.damage : "the file is missing";
      const previous = readState(previousPath, schema);
      if ("value" in previous) return { kind: "recovered", value: previous.value, reason };
      if ("absent" in current && "absent" in previous) return { kind: "absent" };
      return { kind: "lost", reason };
    },
    save(value) {
      try {
        const state: unknown = JSON.parse(JSON.stringify(schema.parse(value)));
        keepPrevious();
        writeFileDurably(path, JSON.stringify({ v: 1, sha256: toChecksum(state), state }));
      } catch (error) {
        throw new CodedError("state_save_failed", `cannot save ${path}: ${toErrorMessage(error)}`, {
          cause: error,
          hint: "check free space and permissions of the data folder",
        });
      }
    },
  };
}
