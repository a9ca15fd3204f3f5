import type * as z from "zod";
import { toUsageError } from "./errors.ts";

/** The value of an option in its form, which the schema says in words. */
export function parseOption<Value>(schema: z.ZodType<Value>, flag: string, text: string): Value {
  const parsed = schema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw toUsageError(
    `${flag} "${text}" is not understood`,
    `write ${parsed.error.issues.map((issue) => issue.message).join("; ")}`,
  );
}

export interface NumberForm {
  /** What is wanted: `a number of milliseconds above 0, such as 40`. */
  readonly what: string;
  readonly fits: (value: number) => boolean;
}

/** The number that an option says. */
export function parseNumber(flag: string, text: string, { what, fits }: NumberForm): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(value) && fits(value)) return value;
  throw toUsageError(`${flag} "${text}" is not understood`, `write ${what}`);
}
