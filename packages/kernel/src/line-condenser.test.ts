import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CondensedOutput } from "./condensed-output.ts";
import { LineCondenser, LineSplitter, toCleanLine, type CondensedLine } from "./line-condenser.ts";

const escape = String.fromCodePoint(27);
const warning = (name: string) =>
  `${escape}[0;93m2026-11-24 02:10:21.668400298 [W:onnxruntime:, graph.cc:1430 Graph] Initializer ${name} appears in graph inputs${escape}[m`;
const count = (lines: readonly CondensedLine[]) => lines.reduce((sum, line) => sum + line.count, 0);

describe("the condenser of lines", () => {
  it("makes one line of all that come from one place of the runtime", () => {
    const condenser = new LineCondenser();
    for (let index = 0; index < 217; index += 1) condenser.add(warning(`layer${index}.weight`), 0);
    condenser.add("2026-11-24 02:10:21.7 [E:onnxruntime:s, executor.cc:572 ExecuteKernel] Non-zero status code", 0);
    const text = "Initializer layer0.weight appears in graph inputs";
    expect(condenser.take(1_000)).toEqual([
      { source: "graph.cc:1430", severity: "warning", text, count: 217 },
      { source: "executor.cc:572", severity: "error", text: "Non-zero status code", count: 1 },
    ]);
    expect(condenser.take(1_000)).toEqual([]);
  });

  it("keeps other lines apart unless they differ only in their numbers", () => {
    const condenser = new LineCondenser();
    for (const line of ["worker 1 ended", "worker 2 ended", `${escape}[31mError: no\u0000`, "   ", ""])
      condenser.add(line, 0);
    expect(condenser.take(0).map((line) => [line.text, line.count])).toEqual([
      ["worker 1 ended", 2],
      ["Error: no", 1],
    ]);
  });

  it("tells of repetitions once in their time, and at the end", () => {
    const condenser = new LineCondenser({ repeatMs: 10_000 });
    condenser.add("again", 0);
    expect(count(condenser.take(0))).toBe(1);
    expect(condenser.dueInMs(0)).toBeNull();
    for (let second = 1; second < 10; second += 1) {
      condenser.add("again", second * 1_000);
      expect(condenser.take(second * 1_000)).toEqual([]);
    }
    expect(condenser.dueInMs(9_000)).toBe(1_000);
    expect(count(condenser.take(10_000))).toBe(9);
    condenser.add("again", 10_001);
    expect(count(condenser.takeAll(10_001))).toBe(1);
  });

  it("is bounded whatever comes and whenever, and loses no count", () => {
    const limits = { maxKinds: 6, maxLinesPerSecond: 3, repeatMs: 5_000 };
    const step = fc.record({
      lines: fc.array(fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom("a", "b", warning("w"))), {
        maxLength: 12,
      }),
      afterMs: fc.nat(3_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const condenser = new LineCondenser(limits);
        const perSecond: { readonly atMs: number; readonly lines: number }[] = [];
        let nowMs = 0;
        let added = 0;
        let counted = 0;
        for (const { lines, afterMs } of steps) {
          nowMs += afterMs;
          for (const line of lines) condenser.add(line, nowMs);
          added += lines.filter((line) => toCleanLine(line) !== "").length;
          const waits = condenser.dueInMs(nowMs);
          const taken = condenser.take(nowMs);
          expect(taken.length > 0).toBe(waits === 0);
          counted += count(taken);
          const second = perSecond.at(-1);
          if (second === undefined || nowMs - second.atMs >= 1_000)
            perSecond.push({ atMs: nowMs, lines: taken.length });
          else perSecond.splice(-1, 1, { atMs: second.atMs, lines: second.lines + taken.length });
          expect(condenser.size).toBeLessThanOrEqual(limits.maxKinds);
        }
        expect(Math.max(0, ...perSecond.map(({ lines }) => lines))).toBeLessThanOrEqual(limits.maxLinesPerSecond);
        const rest = condenser.takeAll(nowMs);
        expect(rest.length).toBeLessThanOrEqual(limits.maxKinds + 1);
        expect(counted + count(rest)).toBe(added);
        expect(condenser.dueInMs(nowMs)).toBeNull();
      }),
    );
  });

  it("gets whole lines however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z ]{0,30}$/u), { maxLength: 20 }),
        fc.integer({ min: 1, max: 9 }),
        (lines, size) => {
          const text = lines.map((line) => `${line}\n`).join("");
          const splitter = new LineSplitter();
          const found: string[] = [];
          for (let at = 0; at < text.length; at += size) found.push(...splitter.push(text.slice(at, at + size)));
          expect(found).toEqual(lines);
        },
      ),
    );
    expect(new LineSplitter().push(`${"x".repeat(9_000)}\n`)[0]).toHaveLength(4_096);
  });
});

describe("the output of a process", () => {
  const open = () => {
    const lines: CondensedLine[] = [];
    const schedule = () => () => undefined;
    return { lines, output: new CondensedOutput({ nowMs: () => 0, schedule, onLine: (line) => lines.push(line) }) };
  };

  it("is told of once per distinct line with its count, and its last words are kept", () => {
    const { lines, output } = open();
    output.push("I1 start\nI2 st");
    output.push(`art\nW${escape}[31mred\u0000\n`);
    output.push("no end");
    expect(output.tail()).toEqual(["I1 start", "I2 start", "Wred", "no end"]);
    output.end();
    expect(lines.map((line) => [line.text, line.count])).toEqual([
      ["I1 start", 2],
      ["Wred", 1],
      ["no end", 1],
    ]);
  });

  it("is cut where lines have no end and where all are different", () => {
    const { lines, output } = open();
    output.push("x".repeat(10_000_000));
    output.push("\n");
    const word = (index: number) =>
      String(index).replaceAll(/\d/gu, (digit) => String.fromCodePoint(97 + Number(digit)));
    for (let index = 0; index < 10_000; index += 1) output.push(`${word(index)}\n`);
    expect(output.tail()).toHaveLength(8);
    output.end();
    expect(lines).toHaveLength(65);
    expect(lines[0]?.text).toHaveLength(400);
    expect(count(lines)).toBe(10_001);
  });
});
