import { integer, primaryKey, real, sqliteTable, text, type SQLiteColumnBuilderBase } from "drizzle-orm/sqlite-core";

/**
 * The neutral columns: all that a table definition may use. Another engine's tables come from the same
 * definitions by handing them another set of columns with these names. Column names in the database are the keys.
 */
export const sqliteColumns = {
  text: () => text(),
  /** Whole number up to 2^53 − 1. */
  integer: () => integer({ mode: "number" }),
  /** Row number given by the database, ever growing. */
  serial: () => integer({ mode: "number" }).primaryKey({ autoIncrement: true }),
  real: () => real(),
  flag: () => integer({ mode: "boolean" }),
  /** Milliseconds since the Unix epoch. */
  timeMs: () => integer({ mode: "number" }),
  /** Parsed at the edge before it is stored, so it is trusted when it is read. */
  json: <Value>() => text({ mode: "json" }).$type<Value>(),
};
export type Columns = typeof sqliteColumns;

/**
 * One definition → the table that queries use. Indexes live in the migrations only; keys are stated in both,
 * and a test compares them.
 */
export function defineTable<Name extends string, Definition extends Record<string, SQLiteColumnBuilderBase>>(
  name: Name,
  define: (column: Columns) => Definition,
  key: readonly (keyof Definition & string)[] = [],
) {
  return sqliteTable(name, define(sqliteColumns), (table) => {
    const [first, ...rest] = key.map((column) => table[column]);
    return first === undefined ? [] : [primaryKey({ columns: [first, ...rest] as never })];
  });
}
