import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { installFile } from "./install-file.ts";
import { openStateFile } from "./state-file.ts";

const schema = z.strictObject({ generation: z.int(), name: z.string() });

describe("a state file", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "state-"));
    path = join(folder, "desired.json");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is absent at first and gives back what was saved, for its owner only", () => {
    const file = openStateFile(path, schema);
    expect(file.load()).toEqual({ kind: "absent" });
    file.save({ generation: 1, name: "a" });
    expect(file.load()).toEqual({ kind: "loaded", value: { generation: 1, name: "a" } });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("falls back to the save before when it is cut at any byte", () => {
    const file = openStateFile(path, schema);
    file.save({ generation: 1, name: "first" });
    file.save({ generation: 2, name: "second" });
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      expect(file.load()).toMatchObject({ kind: "recovered", value: { generation: 1, name: "first" } });
    }
    rmSync(path);
    expect(file.load()).toMatchObject({ kind: "recovered", value: { generation: 1 } });
  });

  it("refuses any changed byte that changes the value", () => {
    const file = openStateFile(path, schema);
    file.save({ generation: 1, name: "only" });
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at += 1) {
      const changed = Buffer.from(whole);
      changed[at] = changed[at]! ^ 1;
      writeFileSync(path, changed);
      expect(file.load().kind).toBe("lost");
    }
  });

  it("never replaces a good fallback by a damaged file", () => {
    const file = openStateFile(path, schema);
    file.save({ generation: 1, name: "a" });
    file.save({ generation: 2, name: "b" });
    truncateSync(path, 3);
    file.save({ generation: 3, name: "c" });
    truncateSync(path, 3);
    expect(file.load()).toMatchObject({ kind: "recovered", value: { generation: 1 } });
  });

  it("ignores a temporary file that a power cut left behind", () => {
    const file = openStateFile(path, schema);
    file.save({ generation: 1, name: "a" });
    writeFileSync(`${path}.tmp`, '{"v":1,"sha');
    expect(file.load()).toMatchObject({ kind: "loaded", value: { generation: 1 } });
    file.save({ generation: 2, name: "b" });
    expect(file.load()).toMatchObject({ kind: "loaded", value: { generation: 2 } });
  });

  it("keeps the old value and says so when it cannot save", () => {
    const file = openStateFile(path, schema);
    file.save({ generation: 1, name: "a" });
    expect(() => file.save({ generation: 1.5, name: "a" })).toThrow(/cannot save/u);
    expect(() => openStateFile(join(folder, "none", "x.json"), schema).save({ generation: 1, name: "" })).toThrow(
      expect.objectContaining({ code: "state_save_failed" }),
    );
    expect(file.load()).toMatchObject({ kind: "loaded", value: { generation: 1 } });
  });

  it("installs a finished download in its place", async () => {
    writeFileSync(join(folder, "part"), "bytes");
    await installFile(join(folder, "part"), join(folder, "artifact"));
    expect(readFileSync(join(folder, "artifact"), "utf8")).toBe("bytes");
  });
});
