import { expect, it } from "vitest";
import { parse } from "yaml";
import { Output, type Format } from "./output.ts";
import { toTable } from "./table.ts";

interface CaptureOptions {
  readonly headers?: boolean;
  readonly quiet?: boolean;
  readonly color?: boolean;
}
function capture(format: Format, options: CaptureOptions = {}) {
  const written = { out: "", err: "" };
  const out = new Output({
    streams: { out: { write: (text) => (written.out += text) }, err: { write: (text) => (written.err += text) } },
    format,
    headers: options.headers ?? true,
    quiet: options.quiet ?? false,
    color: options.color ?? false,
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

it("A61 lets nothing pass in lines, messages, errors and records, and keeps each of them one line", () => {
  const { out, written } = capture("table", { color: true });
  out.lines(["reason: \u001b[31mx\r\nforged", "second"]);
  out.record({ reason: "x\u001b[2J\u009b\n" });
  expect(written.out).toBe('reason: \\u001b[31mx\\u000d\\u000aforged\nsecond\n{"reason":"x\\u001b[2J\\u009b\\n"}\n');
  out.message("told\nforged\u001b]0;own\u0007");
  out.error("broken\u202e\n");
  expect(written.err).toBe("told\\u000aforged\\u001b]0;own\\u0007\nbroken\\u202e\\u000a\n");
});

it("A61 lets the colours that it paints pass and nothing beside them", () => {
  const { out, written } = capture("table", { color: true });
  out.painted([`${out.paint("red", "failed")} \u001b[2J\u001b]0;own\u0007\u001b[1;1H\n\u001b[7A`]);
  expect(written.out).toBe("\u001b[31mfailed\u001b[39m \\u001b[2J\\u001b]0;own\\u0007\\u001b[1;1H\\u000a\\u001b[7A\n");
});

it("draws over what it drew before when it is asked to", () => {
  const { out, written } = capture("table");
  out.painted(["one", "two"], 3);
  expect(written.out).toBe("\u001b[3A\u001b[Jone\ntwo\n");
});

it("A61 paints a table's cells after they were escaped", () => {
  const { out, written } = capture("table", { color: true, headers: false });
  out.list(
    [
      { a: "\u001b[31mfailed", b: "" },
      { a: "failed", b: "" },
    ],
    view,
  );
  expect(written.out).toBe("\\u001b[31mfailed\n\u001b[31mfailed\u001b[39m\n");
});

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
