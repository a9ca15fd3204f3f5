import { describe, expect, it } from "vitest";
import { Output } from "../output/output.ts";
import { createScreen } from "./screen.ts";
import { makeStatus, t0 } from "./testing/make-status.ts";

function open(isTTY: boolean, size: { readonly columns: number; readonly rows: number } = { columns: 100, rows: 30 }) {
  const written = { out: [] as string[], err: "" };
  const streams = {
    out: { write: (text: string) => written.out.push(text), isTTY, ...size },
    err: { write: (text: string) => (written.err += text), isTTY },
  };
  const nowMs = () => t0 + 25_000;
  const out = new Output({ streams, format: "table", headers: true, quiet: false, color: false, nowMs });
  return { screen: createScreen({ out, streams, nowMs }), written };
}

describe("the tree of a rollout that is watched", () => {
  it("is redrawn in its own place on a terminal: the cursor goes up by what was drawn and the rest is cleared", () => {
    const { screen, written } = open(true);
    screen.show(makeStatus());
    screen.show(makeStatus({ state: "rolling_back" }));
    const [first = "", second = ""] = written.out;
    const lines = first.split("\n").length - 1;
    expect(lines).toBe(5);
    expect(first).not.toContain("\u001b");
    expect(second.startsWith(`\u001b[${lines}A\u001b[J`)).toBe(true);
    expect(second).toContain("rolling_back");
    expect(written.err).toBe("");
  });

  it("goes up by the lines that fitted, so that a small terminal is not drawn full of halves", () => {
    const { screen, written } = open(true, { columns: 40, rows: 4 });
    screen.show(makeStatus());
    screen.show(makeStatus());
    expect(written.out[0]?.split("\n")).toHaveLength(4);
    expect(written.out[1]?.startsWith("\u001b[3A\u001b[J")).toBe(true);
  });

  it("is said once for each change where nobody can redraw it, on standard error", () => {
    const { screen, written } = open(false);
    screen.show(makeStatus());
    screen.show(makeStatus());
    const once = written.err;
    expect(once).toContain("canary (role=canary)  soaking");
    screen.show(makeStatus({ state: "rolled_back" }));
    expect(written.err.length).toBeGreaterThan(once.length);
    expect(written.err).not.toContain("\u001b");
    expect(written.out).toEqual([]);
  });
});
