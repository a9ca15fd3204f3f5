import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineCondenser, LineSplitter } from "./line-condenser.ts";

const escape = String.fromCodePoint(27);
const warning = (name: string) =>
  `${escape}[0;93m2026-11-24 02:10:21.668400298 [W:onnxruntime:, graph.cc:1430 Graph] Initializer ${name} appears in graph inputs${escape}[m`;

describe("the condenser of the serving process's lines", () => {
  it("makes one line of all that come from one place of the runtime", () => {
    const condenser = new LineCondenser();
    for (let index = 0; index < 217; index += 1) condenser.add(warning(`layer${index}.weight`));
    condenser.add("2026-11-24 02:10:21.7 [E:onnxruntime:s, executor.cc:572 ExecuteKernel] Non-zero status code");
    expect(condenser.take()).toEqual([
      {
        source: "graph.cc:1430",
        severity: "warning",
        text: "Initializer layer0.weight appears in graph inputs",
        count: 217,
      },
      { source: "executor.cc:572", severity: "error", text: "Non-zero status code", count: 1 },
    ]);
    expect(condenser.take()).toEqual([]);
  });

  it("keeps other lines apart unless they differ only in their numbers", () => {
    const condenser = new LineCondenser();
    for (const line of ["worker 1 ended", "worker 2 ended", "Error: no", "   ", ""]) condenser.add(line);
    expect(condenser.take().map(({ text, count }) => [text, count])).toEqual([
      ["worker 1 ended", 2],
      ["Error: no", 1],
    ]);
  });

  it("is bounded whatever comes, and loses no count", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1, maxLength: 20 }), { maxLength: 300 }), (texts) => {
        const condenser = new LineCondenser();
        for (const text of texts) condenser.add(text);
        const taken = condenser.take();
        expect(taken.length).toBeLessThanOrEqual(65);
        const counted = taken.reduce((sum, { count }) => sum + count, 0);
        const spoken = texts.filter(
          (text) => text.replaceAll(new RegExp(`${escape}\\[[0-9;]*m`, "gu"), "").trim() !== "",
        );
        expect(counted).toBe(spoken.length);
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
