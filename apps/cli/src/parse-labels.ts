import { labelsSchema, type Labels } from "@fairlead/protocol";
import { toUsageError } from "./errors.ts";

/** `site=berlin` pairs; the same key twice is a mistake. */
export function parseLabels(pairs: readonly string[]): Labels {
  const labels: Record<string, string> = {};
  for (const pair of pairs.flatMap((text) => text.split(","))) {
    const at = pair.indexOf("=");
    if (at < 1) throw toUsageError(`"${pair}" is not a label`, "write key=value, for instance site=berlin");
    const key = pair.slice(0, at);
    if (Object.hasOwn(labels, key)) throw toUsageError(`label "${key}" is given twice`);
    labels[key] = pair.slice(at + 1);
  }
  const parsed = labelsSchema.safeParse(labels);
  if (!parsed.success)
    throw toUsageError(
      `these labels are not valid: ${pairs.join(", ")}`,
      "letters, digits, '-', '_' and '.', at most 63 characters",
    );
  return parsed.data;
}
