/** What a server printed, short enough for a log that others read. */
export interface LogCondenser {
  /** Any piece of output; lines are cut out of it. */
  push(chunk: string): void;
  /** The last lines, oldest first: why a server ended is usually the last thing that it said. */
  tail(): readonly string[];
  /** Lines that came again since the last call, with how often. */
  takeRepeated(): readonly { readonly line: string; readonly count: number }[];
}

const maxLine = 400;
const maxDistinct = 128;
const tailLines = 8;

/**
 * Passes each distinct line on once and counts the others. Lines are the same when they differ in numbers only, so that
 * time stamps and request ids do not make each one new. A flood of different lines is cut: they count as one.
 */
export function createLogCondenser(onLine: (line: string) => void): LogCondenser {
  const counts = new Map<string, { readonly line: string; count: number }>();
  const last: string[] = [];
  let rest = "";

  const take = (raw: string) => {
    const line = raw
      .replaceAll(/[^\P{Cc}\t]/gu, "")
      .trim()
      .slice(0, maxLine);
    if (line === "") return;
    last.push(line);
    if (last.length > tailLines) last.shift();
    const key = line.replaceAll(/\d+/gu, "0");
    const known = counts.get(key) ?? (counts.size < maxDistinct ? undefined : counts.get("…"));
    if (known !== undefined) known.count += 1;
    else if (counts.size + 1 < maxDistinct) {
      counts.set(key, { line, count: 0 });
      onLine(line);
    } else {
      counts.set("…", { line: "more distinct lines than are told apart", count: 1 });
      onLine(`more than ${maxDistinct} distinct lines; from here on they are counted`);
    }
  };

  return {
    push(chunk) {
      const lines = (rest + chunk).split("\n");
      rest = (lines.pop() ?? "").slice(0, maxLine);
      for (const line of lines) take(line);
    },
    tail: () => [...last, ...(rest.trim() === "" ? [] : [rest.trim()])],
    takeRepeated() {
      const repeated = [...counts.values()]
        .filter(({ count }) => count > 0)
        .map(({ line, count }) => ({ line, count }));
      for (const entry of counts.values()) entry.count = 0;
      return repeated;
    },
  };
}
