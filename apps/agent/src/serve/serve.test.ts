import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SlotAccumulator } from "@fairlead/telemetry";
import { afterAll, describe, expect, it } from "vitest";
import { createBodyMemory } from "./body-memory.ts";
import { parseServingConfig } from "./config.ts";
import { parseGoldenSet } from "./golden.ts";
import { maxLoads, openInflightFile, readInflightLoads } from "./inflight.ts";
import { recordOutputs } from "./output-statistics.ts";
import { readVerifiedFile } from "./verified-file.ts";

const folder = mkdtempSync(join(tmpdir(), "serve-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("the in-flight file", () => {
  it("names what was loading or running when the process wrote last", async () => {
    const path = join(folder, "inflight");
    const file = openInflightFile(path);
    const [a, b, c] = ["a", "load-\u00E9", "c"].map((id) => file.claim(id));
    a!.set("running");
    b!.set("loading");
    c!.set("running");
    c!.set(null);
    // A crash in this turn of the event loop would be a moment after the run, and names it.
    expect(readInflightLoads(path)).toContainEqual({ loadId: "c", activity: "running" });
    await new Promise(setImmediate);
    expect(readInflightLoads(path)).toEqual([
      { loadId: "a", activity: "running" },
      { loadId: "load-\u00E9", activity: "loading" },
    ]);
    a!.release();
    b!.release();
    expect(readInflightLoads(path)).toEqual([]);
    file.close();
  });

  it("has room for 64 loads and gives released places again", () => {
    const file = openInflightFile(join(folder, "full"));
    const marks = Array.from({ length: maxLoads }, (_, index) => file.claim(`l${index}`));
    expect(marks).not.toContain(null);
    expect(file.claim("one too many")).toBeNull();
    marks[7]!.release();
    expect(file.claim("fits")).not.toBeNull();
    file.close();
  });

  it("reads a missing, short or wild file as nothing", () => {
    const path = join(folder, "wild");
    expect(readInflightLoads(join(folder, "absent"))).toEqual([]);
    writeFileSync(path, Buffer.alloc(71, 3));
    expect(readInflightLoads(path)).toEqual([]);
    writeFileSync(path, Buffer.alloc(10_000, 255));
    expect(readInflightLoads(path)).toEqual([]);
  });
});

describe("a verified read", () => {
  const path = join(folder, "model");
  writeFileSync(path, "abc");
  const digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

  it("returns the bytes whose digest and length were asked for", async () => {
    const bytes = await readVerifiedFile({ path, digest, sizeBytes: 3 }, 10);
    expect(new TextDecoder().decode(bytes)).toBe("abc");
  });

  it("refuses another length, another digest, a link and a folder", async () => {
    symlinkSync(path, join(folder, "link"));
    const code = async (changed: object) =>
      readVerifiedFile({ path, digest, sizeBytes: 3, ...changed }, 10).then(
        () => "read",
        (error: { code: string }) => error.code,
      );
    expect(await code({ sizeBytes: 2 })).toBe("length_mismatch");
    expect(await code({ sizeBytes: 4 })).toBe("length_mismatch");
    expect(await code({ sizeBytes: 11 })).toBe("length_mismatch");
    expect(await code({ digest: digest.replace("b", "c") })).toBe("digest_mismatch");
    expect(await code({ path: join(folder, "link") })).toBe("file_unreadable");
    expect(await code({ path: folder })).toBe("file_unreadable");
  });
});

describe("output statistics", () => {
  const identity = { slot: "s", model: "m", version: "1.0.0", buildDigest: "sha256:0", classifying: true };
  const tensor = (data: number[], shape: number[]) =>
    ({ name: "p", datatype: "FP32", shape, data: Float32Array.from(data) }) as const;

  it("counts the top class of every row, the range and what is not a number", () => {
    const accumulator = new SlotAccumulator(identity);
    recordOutputs(accumulator, "p", [tensor([0.25, 0.75, 0.5, 0.25, Number.NaN, 0.125], [3, 2])]);
    const counts = accumulator.take();
    expect(counts).toMatchObject({ outputMin: 0.125, outputMax: 0.75, nanCount: 1 });
    expect(counts.classCounts).toEqual({ 0: 1, 1: 1 });
    expect(counts.confidence?.sum).toBeCloseTo(1.25);
  });

  it("looks at 65,536 values of a large output and at none of an empty one", () => {
    const accumulator = new SlotAccumulator({ ...identity, classifying: false });
    const data = Array.from({ length: 70_000 }, (_, index) => (index < 65_536 ? 1 : 9));
    recordOutputs(accumulator, null, [tensor([], [0, 2]), tensor(data, [70_000])]);
    expect(accumulator.take()).toMatchObject({ outputMin: 1, outputMax: 1 });
  });
});

describe("configuration and golden set", () => {
  it("admits loopback addresses and Unix sockets only", () => {
    const parse = (address: object) => parseServingConfig(JSON.stringify({ address, inflightPath: "/x" }));
    expect(parse({ kind: "tcp", host: "127.0.0.1", port: 0 })).toMatchObject({ maxQueue: 64 });
    expect(parse({ kind: "unix", socketPath: "/run/s" }).address).toEqual({ kind: "unix", socketPath: "/run/s" });
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.example.org", ""]) {
      expect(() => parse({ kind: "tcp", host, port: 0 })).toThrow(/loopback/u);
    }
    expect(() => parseServingConfig(undefined)).toThrow(/no JSON/u);
  });

  it("reads golden cases and refuses what has another form", () => {
    const x = { datatype: "INT64", shape: [2], data: [1, -2] };
    const golden = { name: "c", inputs: { x }, outputs: {}, toleranceAbs: 0, toleranceRel: 0.5 };
    const parse = (value: unknown) => parseGoldenSet(new TextEncoder().encode(JSON.stringify(value)));
    expect(parse({ v: 1, cases: [golden] })[0]?.inputs).toEqual([{ name: "x", ...x, data: BigInt64Array.of(1n, -2n) }]);
    for (const wrong of [
      null,
      { v: 2, cases: [golden] },
      { v: 1, cases: [] },
      { v: 1, cases: [{ ...golden, toleranceAbs: -1 }] },
      { v: 1, cases: [{ ...golden, inputs: { x: { ...x, shape: [3] } } }] },
      { v: 1, cases: [{ ...golden, inputs: { x: { ...x, datatype: "BYTES" } } }] },
    ]) {
      expect(() => parse(wrong)).toThrow(expect.objectContaining({ code: "golden_invalid" }));
    }
  });
});

describe("body memory", () => {
  it("hands large memory out again and keeps no more than its limit", () => {
    const memory = createBodyMemory(200_000);
    const first = memory.take(100_000);
    memory.give(first);
    expect(memory.take(99_000)).toBe(first);
    memory.give(first);
    memory.give(memory.take(300_000));
    expect(memory.take(100_000)).toBe(first);
    memory.give(first);
    memory.give(new ArrayBuffer(131_072));
    expect(memory.take(100_000)).not.toBe(first);
  });
});
