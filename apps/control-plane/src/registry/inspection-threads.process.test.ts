import { mkdtempSync, openSync, closeSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { externalDataModel, limitModel, mlpModel } from "@fairlead/inference/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { InspectionJob } from "./inspect-upload.ts";
import { InspectionThreads, type InspectionThreadsOptions } from "./inspection-threads.ts";

let folder = "";
let opened: InspectionThreads[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "inspection-"));
  opened = [];
});
afterEach(async () => {
  await Promise.all(opened.map((threads) => threads.stop()));
  rmSync(folder, { recursive: true, force: true });
});

function openThreads(options: InspectionThreadsOptions = {}): InspectionThreads {
  const threads = new InspectionThreads(options);
  opened.push(threads);
  return threads;
}

function toJob(name: string, bytes: Uint8Array): InspectionJob {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return { kind: "onnx", path, operators: {} };
}
const small = () => toJob("small", mlpModel({ widths: [4, 3] }));

function toGolden(count: number): string {
  const data = Array.from({ length: count }, (_, at) => at / 3);
  const inputs = { x: { datatype: "FP64", shape: [count], data } };
  return JSON.stringify({ v: 1, cases: [{ name: "a", inputs, outputs: {}, toleranceAbs: 0, toleranceRel: 0 }] });
}

/** Processor time that this thread spends meanwhile, in milliseconds: in it nobody else is served. */
async function cpuMsOf(run: () => Promise<unknown>): Promise<number> {
  const before = process.threadCpuUsage();
  await run();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

describe("looking into a stranger's file", () => {
  test("A21 takes next to nothing of the calling thread for a model at every limit at once", async () => {
    const threads = openThreads();
    await threads.inspect(small());
    const job = toJob("limits", limitModel());
    const begunMs = performance.now();
    expect(await cpuMsOf(() => threads.inspect(job))).toBeLessThan(30);
    // The check itself is no small thing, or the bound above would say nothing.
    expect(performance.now() - begunMs).toBeGreaterThan(150);
  }, 60_000);

  test("takes next to nothing of the calling thread for a large golden set, at its upload and when a version names it", async () => {
    const threads = openThreads();
    await threads.inspect(small());
    const path = join(folder, "golden");
    writeFileSync(path, toGolden(800_000));
    const fd = openSync(path, "r");
    const version = { builds: [] };
    try {
      expect(await cpuMsOf(() => threads.inspect({ kind: "golden", path }))).toBeLessThan(30);
      const fitting = () => threads.inspect({ kind: "fitting-golden", fd, version });
      expect(await cpuMsOf(() => expect(fitting()).rejects.toThrow(/expects no output/u))).toBeLessThan(30);
    } finally {
      closeSync(fd);
    }
  }, 60_000);

  test("says what it is, or why it is refused with code, hint and place", async () => {
    const threads = openThreads();
    expect(await threads.inspect(small())).toMatchObject({ nodeCount: 2 });
    await expect(threads.inspect(toJob("external", externalDataModel("../secret")))).rejects.toMatchObject({
      ...{ name: "CodedError", code: "external_data_refused", hint: expect.stringMatching(/inside the file/u) },
      details: { place: expect.any(String), byte: expect.any(Number) },
    });
    await expect(threads.inspect({ kind: "onnx", path: join(folder, "none"), operators: {} })).rejects.toMatchObject({
      code: "internal",
    });
  });

  test("refuses a file that takes more memory than is allowed, and looks into the next one", async () => {
    // The text alone is larger: what a run of the collector comes too late for is no matter of luck.
    const threads = openThreads({ maxMemoryMb: 16, maxThreads: 1 });
    const path = join(folder, "golden");
    writeFileSync(path, toGolden(1_200_000));
    await expect(threads.inspect({ kind: "golden", path })).rejects.toMatchObject({ code: "model_too_complex" });
    expect(await threads.inspect(small())).toMatchObject({ nodeCount: 2 });
  }, 60_000);

  test("refuses a file that takes more time than is allowed", async () => {
    const threads = openThreads({ deadlineMs: 1 });
    await expect(threads.inspect(toJob("limits", limitModel()))).rejects.toMatchObject({
      code: "model_too_complex",
      message: expect.stringContaining("1 ms"),
    });
  }, 60_000);

  test("is done for two at a time, the others in the order in which they came", async () => {
    const threads = openThreads({ maxThreads: 2 });
    const done: number[] = [];
    const jobs = Array.from({ length: 8 }, (_, at) => threads.inspect(small()).then(() => done.push(at)));
    await Promise.all(jobs);
    expect(done.toSorted((left, right) => left - right)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(done.indexOf(7)).toBeGreaterThan(done.indexOf(2));
  }, 30_000);

  test("ends with the plane: nothing more is looked into, and who waits is told", async () => {
    const threads = openThreads({ maxThreads: 1 });
    const asked = [threads.inspect(toJob("limits", limitModel())), threads.inspect(small())];
    await threads.stop();
    for (const answer of await Promise.allSettled(asked))
      expect(answer).toMatchObject({ status: "rejected", reason: { code: "internal" } });
  }, 30_000);
});
