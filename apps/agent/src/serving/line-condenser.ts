/** Lines that say the same, as one. */
export interface CondensedLine {
  /** Where the runtime's source wrote it, such as `graph.cc:1430`; null for every other line. */
  readonly source: string | null;
  readonly severity: "warning" | "error" | "other";
  /** The first of them, at most 500 characters. */
  readonly text: string;
  readonly count: number;
}

const maxKinds = 64;
const maxTextLength = 500;
const colour = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m`, "gu");
/** `2026-11-24 02:10:21.668400298 [W:onnxruntime:name, graph.cc:1430 Function] text` */
const runtimeLine =
  /^[\d-]{10} [\d:.]+ \[(?<letter>[A-Z]):onnxruntime:[^,\]]*, (?<source>[\w.-]+:\d+)[^\]]*\] (?<text>.*)$/u;

interface Parsed {
  readonly key: string;
  readonly line: Omit<CondensedLine, "count">;
}

function parse(raw: string): Parsed | null {
  const line = raw.replaceAll(colour, "").trimEnd();
  if (line.trim() === "") return null;
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
 * Counts lines that come from the same place of the runtime's source, or that differ only in their numbers. A model can
 * make the runtime write hundreds of lines, one per weight; a log on a small device has no room for them.
 */
export class LineCondenser {
  #kinds = new Map<string, CondensedLine>();
  #dropped = 0;

  add(raw: string): void {
    const parsed = parse(raw);
    if (parsed === null) return;
    const known = this.#kinds.get(parsed.key);
    if (known !== undefined) this.#kinds.set(parsed.key, { ...known, count: known.count + 1 });
    else if (this.#kinds.size < maxKinds) this.#kinds.set(parsed.key, { ...parsed.line, count: 1 });
    else this.#dropped += 1;
  }

  /** What has come since the last call, in the order of first appearance; lines of too many kinds are only counted. */
  take(): readonly CondensedLine[] {
    const taken = [...this.#kinds.values()];
    if (this.#dropped > 0) {
      const text = `lines of more than ${maxKinds} kinds are left out`;
      taken.push({ source: null, severity: "other", text, count: this.#dropped });
    }
    this.#kinds = new Map();
    this.#dropped = 0;
    return taken;
  }
}

const maxLineLength = 4_096;

/** Cuts a stream of text into lines, each of bounded length. */
export class LineSplitter {
  #rest = "";

  push(chunk: string): readonly string[] {
    const lines = (this.#rest + chunk).split("\n");
    const rest = lines.pop() ?? "";
    this.#rest = rest.slice(0, maxLineLength);
    return lines.map((line) => line.slice(0, maxLineLength));
  }
}
