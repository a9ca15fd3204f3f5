import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createFileDigests } from "./file-digests.ts";
import { toMeasurementMap } from "./measurement-list.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fairlead-digests-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("reads a large file in parts and gives up when it is called off", async () => {
  const path = join(folder, "large");
  writeFileSync(path, Buffer.alloc(3_000_000, 7));
  const abort = new AbortController();
  const digests = createFileDigests({ nowMs: () => Date.now() + 60_000, signal: abort.signal });
  const measure = () => digests.measure({ path, followLinks: false, fresh: true });
  expect(await measure()).toMatchObject({ kind: "read", sizeBytes: 3_000_000 });
  abort.abort(new Error("called off"));
  await expect(measure()).rejects.toThrow("called off");
});

it("does not trust the stamp of a file that changed just before it was read", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "one");
  let nowMs = Date.now();
  const digests = createFileDigests({ nowMs: () => nowMs, signal: new AbortController().signal });
  await digests.measure({ path, followLinks: false, fresh: false });
  expect(await digests.hasChanged(path)).toBe(true);
  nowMs += 60_000;
  await digests.measure({ path, followLinks: false, fresh: false });
  expect(await digests.hasChanged(path)).toBe(false);
});

it("does not wait for a pipe or read a folder", async () => {
  const digests = createFileDigests({ nowMs: () => 0, signal: new AbortController().signal });
  const result = await digests.measure({ path: folder, followLinks: true, fresh: false });
  expect(result).toMatchObject({ kind: "unreadable", reason: "not a regular file" });
});

it("folds the agent's files into one measurement when a link cannot hold them", () => {
  const list = (actual: string) =>
    Array.from({ length: 1_100 }, (_, at) => {
      return { kind: "agent" as const, name: `agent/${at}.ts`, expected: null, actual, reason: null };
    });
  const one = [...toMeasurementMap(list(`sha256:${"1".repeat(64)}`)).values()];
  const other = [...toMeasurementMap(list(`sha256:${"2".repeat(64)}`)).values()];
  expect(one).toMatchObject([{ name: "agent/tree" }]);
  expect(one[0]?.actual).not.toBe(other[0]?.actual);
});
