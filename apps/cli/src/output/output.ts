import { styleText } from "node:util";
import { toDurationText } from "../parse-duration.ts";
import { sanitize, sanitizePainted } from "./sanitize.ts";
import { toJsonText, toYamlText } from "./serialize.ts";
import { toTable } from "./table.ts";

export type Format = "table" | "wide" | "json" | "yaml" | "name";
export const formats: readonly Format[] = ["table", "wide", "json", "yaml", "name"];
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** The process's ends, injected so that tests can look. */
export interface Streams {
  readonly out: {
    write(text: string): unknown;
    readonly isTTY?: boolean;
    readonly columns?: number;
    readonly rows?: number;
  };
  readonly err: { write(text: string): unknown; readonly isTTY?: boolean };
}

export interface Column<Item> {
  readonly title: string;
  readonly cell: (item: Item) => string;
  /** Shown only with `-o wide`. */
  readonly wide?: boolean;
}

export interface ListView<Item> {
  readonly columns: readonly Column<Item>[];
  /** What `-o name` prints. */
  readonly name: (item: Item) => string;
  /** Said on standard error when there is nothing. */
  readonly empty: string;
}

export interface OutputOptions {
  readonly streams: Streams;
  readonly format: Format;
  readonly headers: boolean;
  readonly quiet: boolean;
  readonly color: boolean;
  readonly nowMs: () => number;
}

/** Results on standard output, messages on standard error; every way out of here escapes. */
export class Output {
  readonly #options: OutputOptions;

  constructor(options: OutputOptions) {
    this.#options = options;
  }

  get format(): Format {
    return this.#options.format;
  }

  get isStructured(): boolean {
    return this.format === "json" || this.format === "yaml";
  }

  get isTerminal(): boolean {
    return this.#options.streams.out.isTTY === true;
  }

  get columns(): number {
    // A terminal that does not know its size says 0.
    return this.#options.streams.out.columns || 120;
  }

  get rows(): number {
    return this.#options.streams.out.rows || 40;
  }

  get quiet(): boolean {
    return this.#options.quiet;
  }

  paint(style: Style, text: string): string {
    return this.#options.color ? styleText(style, text, { validateStream: false }) : text;
  }

  /** How long ago, for tables. */
  toAge(tsMs: number | null): string {
    return tsMs === null ? "never" : `${toDurationText(Math.max(0, this.#options.nowMs() - tsMs))} ago`;
  }

  list<Item>(items: readonly Item[], view: ListView<Item>): void {
    if (this.isStructured) return this.value(items);
    if (this.format === "name") return this.lines(items.map((item) => view.name(item)));
    if (items.length === 0) return this.message(view.empty);
    const columns = view.columns.filter((column) => column.wide !== true || this.format === "wide");
    const head = columns.map((column) => this.paint("bold", column.title));
    const rows = items.map((item) => columns.map((column) => this.#tint(sanitize(column.cell(item)))));
    this.painted(toTable(this.#options.headers ? [head, ...rows] : rows).split("\n"));
  }

  /** One thing: its structured form, its name, or the lines made by `describe`. */
  one<Item>(
    item: Item,
    view: { readonly name: (item: Item) => string; readonly describe: (item: Item) => readonly string[] },
  ): void {
    if (this.isStructured) return this.value(item);
    if (this.format === "name") return this.lines([view.name(item)]);
    this.lines(view.describe(item));
  }

  value(value: unknown): void {
    this.#options.streams.out.write(`${this.format === "yaml" ? toYamlText(value) : toJsonText(value)}\n`);
  }

  /** One value on one line of JSON, for what goes on for ever. */
  record(value: unknown): void {
    this.lines([JSON.stringify(value)]);
  }

  /** Text, whoever wrote it: each of these stays one line and nothing in it steers the terminal. */
  lines(lines: readonly string[]): void {
    if (lines.length > 0) this.#options.streams.out.write(`${lines.map(sanitize).join("\n")}\n`);
  }

  /**
   * Lines that hold colours of `paint`: these pass, everything else is escaped. What others wrote goes through
   * `sanitize` before it is painted, or its colours pass as well. `overLines` of what was drawn before are replaced.
   */
  painted(lines: readonly string[], overLines = 0): void {
    if (lines.length === 0) return;
    const up = overLines === 0 ? "" : `\u001b[${overLines}A\u001b[J`;
    this.#options.streams.out.write(`${up}${lines.map(sanitizePainted).join("\n")}\n`);
  }

  /** One line on standard error. */
  message(text: string): void {
    if (!this.#options.quiet) this.error(text);
  }

  error(text: string): void {
    this.#options.streams.err.write(`${sanitize(text)}\n`);
  }

  #tint(text: string): string {
    const styles: Readonly<Record<string, Style>> = {
      verified: "green",
      succeeded: "green",
      resolved: "green",
      passed: "green",
      online: "green",
      pass: "green",
      failed: "red",
      fail: "red",
      rolled_back: "red",
      rollback_failed: "red",
      quarantined: "red",
      firing: "red",
      offline: "yellow",
      pending: "yellow",
      paused: "yellow",
      rolling_back: "yellow",
      stale: "yellow",
      unknown: "dim",
    };
    const style = Object.hasOwn(styles, text) ? styles[text] : undefined;
    return style === undefined ? text : this.paint(style, text);
  }
}
