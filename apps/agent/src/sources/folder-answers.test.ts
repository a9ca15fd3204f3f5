import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FolderAnswers } from "./folder-answers.ts";
import { readInput } from "./folder-files.ts";

let folder = "";
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "folder-answers-"));
  for (const part of ["in", "out"]) mkdirSync(join(folder, part));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const list = (part: string) => readdirSync(join(folder, part)).toSorted();
const left: string[] = [];
const open = async (at = folder) => {
  const answers = new FolderAnswers(at, (_name, reason) => void left.push(reason));
  await answers.open();
  return answers;
};

/** As a kill leaves it: the answer is on disk, and its file is there. */
async function answerHalf(name: string): Promise<void> {
  const path = join(folder, "in", name);
  writeFileSync(path, "x");
  const stamp = (await readInput(path))?.stamp ?? "";
  // Where the file is not, and a folder keeps the answer from its place.
  const apart = join(folder, "apart");
  mkdirSync(join(apart, "in"), { recursive: true });
  mkdirSync(join(apart, "out", `${name}.json`), { recursive: true });
  await expect((await open(apart)).give({ name, stamp }, Buffer.from("{}"))).rejects.toThrow("rename");
  renameSync(join(apart, ".answered"), join(folder, ".answered"));
}

describe("the answers of a folder", () => {
  it("come to their place after a kill, and their files go, under the longest name too", async () => {
    const name = "n".repeat(244);
    await answerHalf(name);
    expect([list("in"), list("out"), list(".answered").length]).toEqual([[name], [], 1]);
    await open();
    expect([list("in"), list("out"), list(".answered"), left]).toEqual([[], [`${name}.json`], [], []]);
  });

  it("take no other file of that name with them", async () => {
    await answerHalf("a.bin");
    rmSync(join(folder, "in", "a.bin"));
    writeFileSync(join(folder, "in", "a.bin"), "y");
    await open();
    expect([list("in"), list("out")]).toEqual([["a.bin"], ["a.bin.json"]]);
  });
});
