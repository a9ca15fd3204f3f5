import { describe, expect, it } from "vitest";
import { createProgress } from "./progress.ts";

function open(isTTY: boolean, options: { readonly totalBytes?: number; readonly enabled?: boolean } = {}) {
  const written: string[] = [];
  const bar = createProgress({
    err: { write: (text: string) => written.push(text), isTTY },
    enabled: options.enabled ?? true,
    title: "reader\u001b[2J.onnx",
    totalBytes: options.totalBytes ?? 4 * 1_048_576,
  });
  return { bar, written };
}

describe("the bar of an upload", () => {
  it("fills on its own line of a terminal, says how much of what passed, and leaves nothing behind", () => {
    const { bar, written } = open(true);
    bar.add(1_048_576);
    bar.add(3 * 1_048_576);
    bar.end();
    expect(written).toEqual([
      `\r\u001b[Kreader\\u001b[2J.onnx ${"█".repeat(6)}${"░".repeat(18)} 25% 1.0 MiB of 4.0 MiB`,
      `\r\u001b[Kreader\\u001b[2J.onnx ${"█".repeat(24)} 100% 4.0 MiB of 4.0 MiB`,
      "\r\u001b[K",
    ]);
  });

  it("is drawn at most once for each half a percent, however small the chunks are", () => {
    const { bar, written } = open(true, { totalBytes: 100_000 });
    for (let sent = 0; sent < 100_000; sent += 10) bar.add(10);
    expect(written.length).toBeLessThanOrEqual(202);
    expect(written.length).toBeGreaterThan(100);
    expect(written.at(-1)).toContain("100%");
  });

  it("is whole for an empty file, and never beyond what was announced", () => {
    const empty = open(true, { totalBytes: 0 });
    empty.bar.add(0);
    expect(empty.written[0]).toContain("100% 0.0 KiB of 0.0 KiB");
    const more = open(true, { totalBytes: 10 });
    more.bar.add(20);
    expect(more.written[0]).toContain(`${"█".repeat(24)} 100%`);
  });

  it("writes nothing where standard error is no terminal or --quiet was given", () => {
    for (const { bar, written } of [open(false), open(true, { enabled: false })]) {
      bar.add(4 * 1_048_576);
      bar.end();
      expect(written).toEqual([]);
    }
  });
});
