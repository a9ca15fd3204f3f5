export interface Change {
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** Leaves that differ, by path; arrays are compared by position. */
export function toChanges(before: unknown, after: unknown, path = ""): Change[] {
  if (isRecord(before) && isRecord(after) && Array.isArray(before) === Array.isArray(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => toChanges(before[key], after[key], path === "" ? key : `${path}.${key}`));
  }
  return Object.is(before, after) ? [] : [{ path, before, after }];
}

const toText = (value: unknown): string => (value === undefined ? "(none)" : JSON.stringify(value));

export function toChangeLines(changes: readonly Change[]): string[] {
  return changes.flatMap(({ path, before, after }) => [
    ...(before === undefined ? [] : [`  - ${path}: ${toText(before)}`]),
    ...(after === undefined ? [] : [`  + ${path}: ${toText(after)}`]),
  ]);
}
