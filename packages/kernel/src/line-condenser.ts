/** Lines that say the same, as one. */
export interface CondensedLine {
  /** Where the runtime's source wrote it, such as `graph.cc:1430`; null for every other line. */
  readonly source: string | null;
  readonly severity: "warning" | "error" | "other";
  /** The first of them, at most 400 characters, without colours and control characters. */
  readonly text: string;
  /** How many came since this kind was last told of. */
  readonly count: number;
}

export interface LineCondenserOptions {
  /** Kinds of lines that are told apart; more are only counted. Default 64. */
  readonly maxKinds?: number;
  /** Lines that are given out in one second. Default 32. */
  readonly maxLinesPerSecond?: number;
  /** How long the repetitions of a line are gathered before they are told of. Default 60,000. */
  readonly repeatMs?: number;
}

interface Kind {
  readonly line: Omit<CondensedLine, "count">;
  count: number;
  /** When it was last given out; null when never. */
  givenMs: number | null;
}

const maxTextLength = 400;
const colour = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m`, "gu");
const control = /[^\P{Cc}\t]/gu;
/** `2026-11-24 02:10:21.668400298 [W:onnxruntime:name, graph.cc:1430 Function] text` */
const runtimeLine =
  /^[\d-]{10} [\d:.]+ \[(?<letter>[A-Z]):onnxruntime:[^,\]]*, (?<source>[\w.-]+:\d+)[^\]]*\] (?<text>.*)$/u;

/** One line as it is shown; empty for one that says nothing. */
export function toCleanLine(raw: string): string {
  return raw.replaceAll(colour, "").replaceAll(control, "").trim();
}

function parse(line: string): { readonly key: string; readonly line: Omit<CondensedLine, "count"> } {
  const groups = runtimeLine.exec(line)?.groups;
  if (groups === undefined) {
    const text = line.slice(0, maxTextLength);
    return { key: text.replaceAll(/\d+/gu, "#"), line: { source: null, severity: "other", text } };
  }
  const { letter = "", source = "", text = "" } = groups;
  const severity = letter === "E" || letter === "F" ? "error" : letter === "W" ? "warning" : "other";
  return { key: `${letter} ${source}`, line: { source, severity, text: text.slice(0, maxTextLength) } };
}

/**
 * Counts lines that come from the same place of a runtime's source, or that differ only in their numbers: a model can make
 * a runtime write hundreds of lines, one per weight, and a log on a small device has no room for them. A kind is given out
 * once, then at most once per `repeatMs` with its count. Invariants: what was added was given out or is kept as a count;
 * no more than `maxKinds` lines are kept; no second gives out more than `maxLinesPerSecond`. Times never go back.
 */
export class LineCondenser {
  readonly #maxKinds: number;
  readonly #maxLines: number;
  readonly #repeatMs: number;
  readonly #kinds = new Map<string, Kind>();
  readonly #others: Kind;
  #secondMs = Number.NEGATIVE_INFINITY;
  #given = 0;

  constructor(options: LineCondenserOptions = {}) {
    this.#maxKinds = options.maxKinds ?? 64;
    this.#maxLines = options.maxLinesPerSecond ?? 32;
    this.#repeatMs = options.repeatMs ?? 60_000;
    const text = `lines of more than ${this.#maxKinds} kinds are only counted`;
    this.#others = { line: { source: null, severity: "other", text }, count: 0, givenMs: null };
  }

  /** Kinds in memory. */
  get size(): number {
    return this.#kinds.size;
  }

  add(raw: string, nowMs: number): void {
    const line = toCleanLine(raw);
    if (line === "") return;
    const parsed = parse(line);
    const known = this.#kinds.get(parsed.key);
    if (known !== undefined) known.count += 1;
    else if (this.#kinds.size < this.#maxKinds || this.#forgetOne(nowMs))
      this.#kinds.set(parsed.key, { line: parsed.line, count: 1, givenMs: null });
    else this.#others.count += 1;
  }

  /** What may be told of now, in the order of first appearance. */
  take(nowMs: number): CondensedLine[] {
    if (nowMs - this.#secondMs >= 1_000) {
      this.#secondMs = nowMs;
      this.#given = 0;
    }
    const taken: CondensedLine[] = [];
    for (const kind of this.#all()) {
      if (this.#given >= this.#maxLines) break;
      if (kind.count === 0 || this.#dueMs(kind) > nowMs) continue;
      taken.push(giveOut(kind, nowMs));
      this.#given += 1;
    }
    return taken;
  }

  /** Everything that is left, whatever the second allows: for the end of whoever writes. */
  takeAll(nowMs: number): CondensedLine[] {
    return this.#all()
      .filter(({ count }) => count > 0)
      .map((kind) => giveOut(kind, nowMs));
  }

  /** How long until `take` has something to give; null when nothing waits. */
  dueInMs(nowMs: number): number | null {
    const waiting = this.#all().filter(({ count }) => count > 0);
    if (waiting.length === 0) return null;
    const dueMs = Math.min(...waiting.map((kind) => this.#dueMs(kind)));
    const allowedMs = this.#given >= this.#maxLines ? this.#secondMs + 1_000 : dueMs;
    return Math.max(0, dueMs - nowMs, allowedMs - nowMs);
  }

  #all(): Kind[] {
    return [...this.#kinds.values(), this.#others];
  }

  #dueMs({ givenMs }: Kind): number {
    return givenMs === null ? Number.NEGATIVE_INFINITY : givenMs + this.#repeatMs;
  }

  /** Makes room by a kind of which nothing is left to tell and that may be told of again as new. */
  #forgetOne(nowMs: number): boolean {
    for (const [key, kind] of this.#kinds) {
      if (kind.count > 0 || this.#dueMs(kind) > nowMs) continue;
      this.#kinds.delete(key);
      return true;
    }
    return false;
  }
}

function giveOut(kind: Kind, nowMs: number): CondensedLine {
  const { count } = kind;
  kind.count = 0;
  kind.givenMs = nowMs;
  return { ...kind.line, count };
}

const maxLineLength = 4_096;

/** Cuts a stream of text into lines, each of bounded length. */
export class LineSplitter {
  #rest = "";

  /** The line that has no end yet. */
  get rest(): string {
    return this.#rest;
  }

  push(chunk: string): readonly string[] {
    const lines = (this.#rest + chunk).split("\n");
    const rest = lines.pop() ?? "";
    this.#rest = rest.slice(0, maxLineLength);
    return lines.map((line) => line.slice(0, maxLineLength));
  }
}
