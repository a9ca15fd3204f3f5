import { stripVTControlCharacters } from "node:util";

const isWide = (code: number): boolean =>
  (code >= 0x1100 && code <= 0x115f) ||
  (code >= 0x2e80 && code <= 0xa4cf) ||
  (code >= 0xac00 && code <= 0xd7a3) ||
  (code >= 0xf900 && code <= 0xfaff) ||
  (code >= 0xff00 && code <= 0xff60) ||
  (code >= 0x1f300 && code <= 0x1faff);

/** Columns that a text takes on a terminal; colours take none. */
export function toWidth(text: string): number {
  let width = 0;
  for (const character of stripVTControlCharacters(text)) width += isWide(character.codePointAt(0) ?? 0) ? 2 : 1;
  return width;
}

/** Left-aligned columns, two spaces apart, no trailing blanks. Cells must be safe to print already. */
export function toTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, toWidth(cell))));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - toWidth(cell)),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
