import { createHash, randomBytes } from "node:crypto";
import { linkSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { InferenceRuntime } from "@fairlead/inference";
import { createFakeRuntime, mlpModel } from "@fairlead/inference/testing";
import { hasErrorCode } from "@fairlead/kernel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadInstances } from "./model-loader.ts";
import { readVerifiedFile } from "./verified-file.ts";

const toDigest = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "swap-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Ways to put another file where the checked one is. */
const swaps: Readonly<Record<string, (path: string, evil: string) => void>> = {
  "a renamed file": (path, evil) => {
    linkSync(evil, `${path}.next`);
    renameSync(`${path}.next`, path);
  },
  "a symbolic link": (path, evil) => {
    symlinkSync(evil, `${path}.next`);
    renameSync(`${path}.next`, path);
  },
  "a hard link": (path, evil) => {
    rmSync(path);
    linkSync(evil, path);
  },
  "bytes written in place": (path) => writeFileSync(path, Buffer.alloc(64, 0x66), { flag: "r+" }),
};

/** In a thread of its own, as fast as it can: the good file, then another in its place, in all of these ways. */
const swapper = `
const { workerData } = require("node:worker_threads");
const fs = require("node:fs");
const { path, good, evil, size } = workerData;
const put = (make) => { try { fs.rmSync(path + ".next", { force: true }); make(path + ".next"); fs.renameSync(path + ".next", path); } catch {} };
const half = Buffer.alloc(Math.floor(size / 2), 0x66);
for (;;) {
  put((next) => fs.copyFileSync(good, next));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * 6);
  const way = Math.floor(Math.random() * 4);
  if (way === 0) put((next) => fs.linkSync(evil, next));
  else if (way === 1) put((next) => fs.symlinkSync(evil, next));
  else if (way === 2) put((next) => fs.copyFileSync(evil, next));
  else { const file = fs.openSync(path, "r+"); fs.writeSync(file, half, 0, half.length, Math.floor(Math.random() * (size / 2))); fs.closeSync(file); }
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * 3);
}`;

describe("a model file that somebody swaps", () => {
  it("A11 between check and load is loaded as it was checked, whatever way it is swapped", async () => {
    const model = mlpModel({ widths: [4, 4, 2] });
    const evil = join(folder, "evil");
    writeFileSync(evil, mlpModel({ widths: [4, 8, 2] }));
    for (const [name, swap] of Object.entries(swaps)) {
      const path = join(folder, name.replaceAll(" ", "-"));
      writeFileSync(path, model);
      const loaded: string[] = [];
      const fake = createFakeRuntime({});
      const runtime: InferenceRuntime = {
        name: "watching",
        load: (bytes) => {
          loaded.push(toDigest(bytes));
          // Nothing of it is to run: what was handed over is the question.
          return fake.load(bytes);
        },
      };
      const request = {
        ...{
          kind: "load" as const,
          loadId: "l",
          slot: "reader",
          path,
          digest: toDigest(model),
          sizeBytes: model.length,
        },
        ...{ model: "m", version: "1.0.0", classification: null, threads: 1, deadlineMs: 1_000 },
      } as const;
      const onChecked = () => swap(path, evil);
      const gate = { runtime, operators: {} };
      const load = () => loadInstances(gate, request, { instances: 2, background: false, checkRoom: null, onChecked });
      await expect(load(), name).rejects.toMatchObject({ code: "model_load_failed" });
      expect(loaded, name).toEqual([toDigest(model)]);
      // The next load reads the file again, and finds what it is now.
      await expect(load(), name).rejects.toMatchObject({
        code: expect.stringMatching(/^(?:digest_mismatch|length_mismatch|file_unreadable)$/u),
      });
      expect(loaded, name).toHaveLength(1);
    }
  });

  it("A11 at any moment gives the checked bytes or none", async () => {
    const good = randomBytes(3_000_000);
    const [path, goodPath, evilPath] = ["model", "good", "evil"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(goodPath, good);
    writeFileSync(path, good);
    writeFileSync(evilPath, randomBytes(good.length));
    const expected = { path, digest: toDigest(good), sizeBytes: good.length };
    const workerData = { path, good: goodPath, evil: evilPath, size: good.length };
    const worker = new Worker(swapper, { eval: true, workerData });
    const seen = { taken: 0, refused: 0 };
    try {
      // Until both have happened often enough to mean something; bounded, so that a test that proves nothing fails.
      for (let tries = 0; tries < 3_000 && (seen.taken < 20 || seen.refused < 20); tries += 1) {
        try {
          const bytes = await readVerifiedFile(expected, 10_000_000);
          expect(good.equals(bytes)).toBe(true);
          seen.taken += 1;
        } catch (error) {
          if (!["digest_mismatch", "length_mismatch", "file_unreadable"].some((code) => hasErrorCode(error, code)))
            throw error;
          seen.refused += 1;
        }
      }
    } finally {
      await worker.terminate();
    }
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThanOrEqual(20);
  }, 60_000);

  it("A11 is never followed through a symbolic link, also to the right bytes", async () => {
    const good = Buffer.from("the right bytes");
    writeFileSync(join(folder, "good"), good);
    symlinkSync(join(folder, "good"), join(folder, "model"));
    const expected = { path: join(folder, "model"), digest: toDigest(good), sizeBytes: good.length };
    await expect(readVerifiedFile(expected, 100)).rejects.toMatchObject({ code: "file_unreadable" });
  });

  it("is not blamed for a read that failed by the system: that is another code, and tried again", async () => {
    // Address zero of this process cannot be read: EIO.
    const unread = { path: "/proc/self/mem", digest: `sha256:${"0".repeat(64)}`, sizeBytes: 8 };
    await expect(readVerifiedFile(unread, 100)).rejects.toMatchObject({ code: "read_failed" });
  });
});
