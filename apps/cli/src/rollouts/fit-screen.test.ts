import { expect, it } from "vitest";
import { fitScreen } from "./fit-screen.ts";

it("cuts lines to the width, counting what is visible", () => {
  expect(fitScreen(["\u001b[31mred\u001b[39m", "0123456789ab", "日本日本日本"], { columns: 10, rows: 24 })).toEqual([
    "\u001b[31mred\u001b[39m",
    "01234567…",
    "日本日本…",
  ]);
});

it("never draws more lines than the screen can take back", () => {
  const lines = Array.from({ length: 30 }, (_, index) => `line ${index}`);
  const shown = fitScreen(lines, { columns: 80, rows: 10 });
  expect(shown).toHaveLength(9);
  expect(shown.at(-1)).toBe("… 22 more lines");
});
