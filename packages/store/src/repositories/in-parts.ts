import { setImmediate } from "node:timers/promises";

/** SQLite binds at most 32,766 values in one statement; and a statement holds up everybody else until it has all its rows. */
const atOnce = 1_000;

/** Rows of however many keys, in the order of the statements that they take. Others have a turn between two of these. */
export async function inParts<Row>(
  keys: readonly string[],
  list: (some: string[]) => PromiseLike<readonly Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let start = 0; start < keys.length; start += atOnce) {
    if (start > 0) await setImmediate();
    for (const row of await list(keys.slice(start, start + atOnce))) rows.push(row);
  }
  return rows;
}

/** Every row of a table in the order of its devices, each of which it has once. Others have a turn between two pages. */
export async function inPages<Row extends { readonly device: string }>(
  list: (page: { readonly after: string; readonly limit: number }) => PromiseLike<readonly Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const page = await list({ after: rows.at(-1)?.device ?? "", limit: atOnce });
    for (const row of page) rows.push(row);
    if (page.length < atOnce) return rows;
    await setImmediate();
  }
}
