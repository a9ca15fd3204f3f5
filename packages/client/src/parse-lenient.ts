import type * as z from "zod";

const maxRounds = 8;

function remove(root: unknown, path: readonly PropertyKey[], keys: readonly string[]): void {
  let current: unknown = root;
  for (const step of path) {
    if (typeof current !== "object" || current === null) return;
    current = Reflect.get(current, step);
  }
  if (typeof current !== "object" || current === null) return;
  for (const key of keys) Reflect.deleteProperty(current, key);
}

/**
 * Parses an answer and drops fields that this client does not know, also where the shared schema is strict for requests:
 * a newer server must not break an older client.
 * @returns the value, or every problem found as `path: message`.
 */
export function parseLenient<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): { readonly ok: true; readonly value: z.infer<Schema> } | { readonly ok: false; readonly issues: readonly string[] } {
  let result = schema.safeParse(value);
  const copy: unknown = result.success ? value : structuredClone(value);
  for (let round = 0; !result.success && round < maxRounds; round += 1) {
    const unknownFields = result.error.issues.filter((issue) => issue.code === "unrecognized_keys");
    if (unknownFields.length === 0) break;
    for (const issue of unknownFields) remove(copy, issue.path, issue.keys);
    result = schema.safeParse(copy);
  }
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, issues: result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`) };
}
