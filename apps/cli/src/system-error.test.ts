import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { toErrorText } from "./run.ts";

function toText(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return toErrorText(error);
  }
  return "nothing was thrown";
}

it.each([
  [() => readFileSync("/no/such.pem"), "error: cannot open /no/such.pem: there is no such file or folder [ENOENT]"],
  [() => readdirSync("/etc/passwd"), "error: cannot list /etc/passwd: a part of its path is no folder [ENOTDIR]"],
  [() => mkdirSync("/proc/x"), "error: cannot make the folder /proc/x: there is no such file or folder [ENOENT]"],
])("what the system refuses is told in words, with the file: %s", (work, text) => {
  expect(toText(work)).toBe(text);
});
