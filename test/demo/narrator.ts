import { stripVTControlCharacters, styleText } from "node:util";

const colour = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
const paint = (style: Parameters<typeof styleText>[0], text: string) => (colour ? styleText(style, text) : text);

/** Everything that the demonstration says goes through here. */
export const narrator = {
  chapter(text: string): void {
    process.stdout.write(`\n${paint(["bold", "cyan"], `▶ ${text}`)}\n`);
  },
  say(text: string): void {
    process.stdout.write(`  ${text}\n`);
  },
  command(args: readonly string[]): void {
    const quoted = args.map((arg) => (/^[\w./:=%,@-]+$/u.test(arg) ? arg : `'${arg}'`)).join(" ");
    process.stdout.write(`  ${paint("dim", `$ fairlead ${quoted}`)}\n`);
  },
  /** One line that is rewritten in place on a terminal, and printed when it changes elsewhere. */
  live: createLiveLine(),
};

function createLiveLine(): { show(text: string): void; done(): void } {
  let last = "";
  return {
    show(text: string): void {
      if (text === last) return;
      last = text;
      process.stdout.write(process.stdout.isTTY ? `\r\u001b[2K  ${text}` : `  ${text}\n`);
    },
    done(): void {
      if (last !== "" && process.stdout.isTTY) process.stdout.write("\n");
      last = "";
    },
  };
}

/** Columns padded to their widest cell; the first row is the heading. */
export function toTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => stripVTControlCharacters(row[column] ?? "").length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join("\n");
}

export function claimLine(held: boolean, text: string): string {
  return `  ${held ? paint("green", "✔") : paint("red", "✘")} ${text}`;
}
