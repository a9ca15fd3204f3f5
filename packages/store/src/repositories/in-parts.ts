/** SQLite binds at most 32,766 values in one statement. */
const keysAtOnce = 1_000;

/** Rows of however many keys, in the order of the statements that they take. */
export async function inParts<Row>(
  keys: readonly string[],
  list: (some: string[]) => PromiseLike<readonly Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let start = 0; start < keys.length; start += keysAtOnce)
    for (const row of await list(keys.slice(start, start + keysAtOnce))) rows.push(row);
  return rows;
}
