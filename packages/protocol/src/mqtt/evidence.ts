import * as z from "zod";
import { digestSchema, timestampMsSchema } from "../ids.ts";

export const measurementKindSchema = z.enum(["agent", "model", "configuration", "runtime"]);

/** One measured file. `actual` is null when it cannot be read, with the reason. */
export const measurementSchema = z.strictObject({
  kind: measurementKindSchema,
  /** Stable name below its kind, never a path outside: `agent/src/main.ts`, `slot/reader`. */
  name: z.string().min(1).max(256),
  expected: digestSchema.nullable(),
  actual: digestSchema.nullable(),
  reason: z.string().max(200).nullable(),
});

/**
 * One link of the device's measurement chain: `head` = SHA-256 of the canonical form of
 * `{previous, index, tsMs, measurements}`; index 0 has an all-zero `previous`.
 */
export const evidenceSchema = z.strictObject({
  index: z.int().min(0),
  tsMs: timestampMsSchema,
  previous: digestSchema,
  head: digestSchema,
  trigger: z.enum(["start", "periodic", "changed", "command", "load"]),
  /** The fold of all measurements that did not change since the last full list is left out; `full` says that none is. */
  full: z.boolean(),
  measurements: z.array(measurementSchema).max(1_024),
});

/**
 * A file in which people say what their device does: a change to it may be right, and an operator may accept it. What lies
 * below `identity/` says whom the device believes; that changes with an enrolment and with nothing else.
 */
export function isOperatorFile({ kind, name }: Pick<Measurement, "kind" | "name">): boolean {
  return kind === "configuration" && !name.startsWith("identity/");
}

export type Measurement = z.infer<typeof measurementSchema>;
export type MeasurementKind = z.infer<typeof measurementKindSchema>;
export type Evidence = z.infer<typeof evidenceSchema>;
