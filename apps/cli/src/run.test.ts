import { PassThrough } from "node:stream";
import { ClientError } from "@fairlead/client";
import { expect, it } from "vitest";
import { run, toErrorText } from "./run.ts";

it("says a field's problem once, whether or not the message has it already", () => {
  const fields = [
    { path: "query.selector", message: "not a label selector" },
    { path: "query.limit", message: "too large" },
  ];
  const text = toErrorText(
    new ClientError("validation_failed", "query.selector: not a label selector", { status: 422, fields }),
  );
  expect(text.split("\n")).toEqual([
    "error: query.selector: not a label selector [validation_failed]",
    "  query.limit: too large",
  ]);
});

it.each(["--version", "-V", "--cli-version"])("says its own version when asked for it alone: %s", async (option) => {
  const out = new PassThrough();
  const options = { env: {}, stdin: process.stdin, signal: new AbortController().signal, nowMs: () => 0 };
  const streams = { out, err: new PassThrough() } as unknown as Parameters<typeof run>[0]["streams"];
  expect(await run({ ...options, args: [option], streams, version: "1.2.3" })).toBe(0);
  expect(String(out.read())).toBe("1.2.3\n");
});
