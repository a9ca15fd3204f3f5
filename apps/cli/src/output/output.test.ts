import { expect, it } from "vitest";
import { parse } from "yaml";
import { Output, type Format } from "./output.ts";
import { toTable } from "./table.ts";

function capture(format: Format, options: { readonly headers?: boolean; readonly quiet?: boolean } = {}) {
  const written = { out: "", err: "" };
  const out = new Output({
    streams: { out: { write: (text) => (written.out += text) }, err: { write: (text) => (written.err += text) } },
    format,
    headers: options.headers ?? true,
    quiet: options.quiet ?? false,
    color: false,
    nowMs: () => 1_700_000_060_000,
  });
  return { out, written };
}

const view = {
  name: (item: { a: string; b: string }) => item.a,
  empty: "nothing here",
  columns: [
    { title: "A", cell: (item: { a: string; b: string }) => item.a },
    { title: "B", cell: (item: { a: string; b: string }) => item.b, wide: true },
  ],
};
const hostile = { a: "x\u001b[2J\u009b31m\r\nforged", b: "\u202egnp.exe" };

it("aligns columns by what the terminal shows", () => {
  expect(
    toTable([
      ["NAME", "S"],
      ["日本", "1"],
      ["\u001b[31mred\u001b[39m", "2"],
    ]),
  ).toBe("NAME  S\n日本  1\n\u001b[31mred\u001b[39m   2");
});

it.each<Format>(["table", "wide", "json", "yaml", "name"])(
  "lets no control character of a server through as %s",
  (format) => {
    const { out, written } = capture(format);
    out.list([hostile], view);
    expect(written.out.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
  },
);

it("keeps the value itself in JSON and YAML", () => {
  const json = capture("json");
  json.out.list([hostile], view);
  expect(JSON.parse(json.written.out)).toEqual([hostile]);
  const yaml = capture("yaml");
  yaml.out.list([hostile], view);
  expect(parse(yaml.written.out)).toEqual([hostile]);
});

it("keeps messages off standard output and answers an empty list in JSON", () => {
  const table = capture("table");
  table.out.list([], view);
  expect(table.written).toEqual({ out: "", err: "nothing here\n" });
  const json = capture("json");
  json.out.list([], view);
  expect(json.written).toEqual({ out: "[]\n", err: "" });
});

it("shows wide columns only when asked, and can leave the head away", () => {
  const wide = capture("wide", { headers: false });
  wide.out.list([{ a: "1", b: "2" }], view);
  expect(wide.written.out).toBe("1  2\n");
});

it("says errors even when quiet", () => {
  const { out, written } = capture("table", { quiet: true });
  out.message("progress");
  out.error("broken");
  expect(written.err).toBe("broken\n");
});

it("says how long ago something was", () => {
  const { out } = capture("table");
  expect([out.toAge(null), out.toAge(1_700_000_000_000), out.toAge(1_800_000_000_000)]).toEqual([
    "never",
    "1m ago",
    "0ms ago",
  ]);
});
