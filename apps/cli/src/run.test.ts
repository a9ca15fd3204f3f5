import { ClientError } from "@fairlead/client";
import { expect, it } from "vitest";
import { toErrorText } from "./run.ts";

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
