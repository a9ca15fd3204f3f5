import { stripVTControlCharacters } from "node:util";
import { toWidth } from "../output/table.ts";

/**
 * What is redrawn in place must take exactly one row per line and leave one row free, or the cursor cannot get back
 * to its beginning. A line that is cut loses its colours.
 */
export function fitScreen(
  lines: readonly string[],
  screen: { readonly columns: number; readonly rows: number },
): string[] {
  const room = Math.max(2, screen.rows - 1);
  const shown = lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`];
  return shown.map((line) => {
    if (toWidth(line) < screen.columns) return line;
    let text = "";
    for (const character of stripVTControlCharacters(line)) {
      if (toWidth(text + character) > screen.columns - 2) break;
      text += character;
    }
    return `${text}…`;
  });
}
