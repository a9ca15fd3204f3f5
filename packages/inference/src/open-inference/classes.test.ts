import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeStrings } from "../string-data.ts";
import type { Datatype, Tensor, TensorData } from "../tensor.ts";
import { toClasses } from "./classes.ts";
import { toInferResponse } from "./infer-response.ts";

const tensor = (shape: number[], data: TensorData, datatype: Datatype = "FP32"): Tensor => ({
  name: "y",
  datatype,
  shape,
  data,
});
const classify = (output: Tensor, count: number, labels: string[] = []) => {
  const { shape, data } = toClasses(output, count, labels);
  return { shape, texts: decodeStrings(data as Uint8Array) };
};

describe("classes", () => {
  it("are the highest values of each row with index and label", () => {
    const scores = tensor([2, 3], Float32Array.of(0.25, 0.5, 0.125, 3, 1, 2));
    expect(classify(scores, 2, ["cat", "dog"])).toEqual({
      shape: [2, 2],
      texts: ["0.500000:1:dog", "0.250000:0:cat", "3:0:cat", "2:2"],
    });
    expect(classify(tensor([4], Int32Array.of(1, 5, 10, 4), "INT32"), 2)).toEqual({
      shape: [2],
      texts: ["10:2", "5:1"],
    });
  });

  it("are as many as there are values when more are asked for, and none of nothing", () => {
    const absurd = Number.MAX_SAFE_INTEGER;
    expect(classify(tensor([1, 2], Float32Array.of(1, 2)), absurd)).toEqual({ shape: [1, 2], texts: ["2:1", "1:0"] });
    expect(classify(tensor([0, 5], new Float32Array()), absurd)).toEqual({ shape: [0, 0], texts: [] });
    expect(classify(tensor([3, 0], new Float32Array()), absurd)).toEqual({ shape: [3, 0], texts: [] });
    expect(classify(tensor([], Float32Array.of(7)), absurd)).toEqual({ shape: [1], texts: ["7:0"] });
  });

  it("put not-a-number last and tell 64-bit integers apart", () => {
    expect(classify(tensor([4], Float32Array.of(Number.NaN, -1, Infinity, -Infinity)), 4).texts).toEqual([
      "Infinity:2",
      "-1:1",
      "-Infinity:3",
      "NaN:0",
    ]);
    const wide = BigInt64Array.of(2n ** 53n, 2n ** 53n + 1n);
    expect(classify(tensor([2], wide, "INT64"), 1).texts).toEqual(["9007199254740993:1"]);
  });

  it("are every value once, in descending order", () => {
    fc.assert(
      fc.property(fc.float32Array({ minLength: 1, maxLength: 40 }), (data) => {
        const indices = classify(tensor([1, data.length], data), data.length).texts?.map((text) =>
          Number(text.split(":")[1]),
        );
        expect(indices?.toSorted((a, b) => a - b)).toEqual(Array.from(data, (_, index) => index));
        const values = (indices ?? []).map((index) => data[index] ?? 0).filter((value) => !Number.isNaN(value));
        expect(values.every((value, index) => index === 0 || value <= (values[index - 1] ?? 0))).toBe(true);
      }),
    );
  });

  it.each<Datatype>(["BOOL", "BYTES", "FP16", "BF16"])("are refused of %s", (datatype) => {
    expect(() => toClasses(tensor([0], new Uint8Array(), datatype), 1, [])).toThrow(
      expect.objectContaining({ code: "not_supported" }),
    );
  });

  it("are refused among more values than are sorted on this thread, however often an output is named", () => {
    const output = tensor([1, 70_000], new Float32Array(70_000));
    const answer = (times: number) =>
      toInferResponse(
        { name: "m", version: "1" },
        {
          id: null,
          outputs: Array.from({ length: times }, () => ({
            name: "y",
            binary: false,
            instead: { kind: "classes" as const, count: 1 },
          })),
        },
        [output],
      );
    expect(answer(1).totalBytes).toBeGreaterThan(50);
    expect(() => answer(2)).toThrow(expect.objectContaining({ code: "request_too_large" }));
  });
});

describe("an output that is asked for as JSON again and again", () => {
  it("counts each time", () => {
    const output = tensor([600_000], new Float32Array(600_000));
    const outputs = Array.from({ length: 2 }, () => ({ name: "y", binary: false }));
    expect(() => toInferResponse({ name: "m", version: "1" }, { id: null, outputs }, [output])).toThrow(
      expect.objectContaining({ code: "request_too_large" }),
    );
  });
});
