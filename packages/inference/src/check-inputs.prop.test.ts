import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkBatch, checkRows, toSharedRows } from "./check-inputs.ts";
import type { Tensor } from "./tensor.ts";

const toTensor = (name: string, shape: readonly number[]): Tensor => ({
  name,
  datatype: "FP32",
  shape,
  data: new Float32Array(0),
});
const dimension = fc.oneof(fc.nat({ max: 4 }), fc.constantFrom("?", "batch", "rows", "source"));
const inputs = fc.uniqueArray(
  fc.record({ name: fc.stringMatching(/^[a-f]$/u), shape: fc.array(dimension, { maxLength: 3 }) }),
  {
    selector: ({ name }) => name,
  },
);

describe("rows that inputs share", () => {
  it("are those of inputs whose first dimension has one name; unnamed, fixed and other ones stand alone", () => {
    const stated = [
      { name: "ids", shape: ["batch", "length"] },
      { name: "mask", shape: ["batch", "length"] },
      { name: "table", shape: ["rows", 4] },
      { name: "free", shape: ["?", 4] },
      { name: "loose", shape: ["?", 4] },
      { name: "fixed", shape: [3] },
      { name: "scalar", shape: [] },
    ];
    expect(toSharedRows(stated)).toEqual([["ids", "mask"]]);
    const ask = (mask: number, loose: number) =>
      checkRows("m", toSharedRows(stated), [
        ...[toTensor("mask", [mask, 2]), toTensor("free", [9, 4]), toTensor("loose", [loose, 4])],
        ...[toTensor("scalar", []), toTensor("ids", [2, 2])],
      ]);
    expect(() => ask(2, 1)).not.toThrow();
    expect(() => ask(3, 9)).toThrow(
      "input 'ids' batch size does not match other inputs for 'm': it has 2, 'mask' has 3",
    );
  });

  it("bind nothing else: a request is refused when, and only when, two inputs of one name differ", () => {
    fc.assert(
      fc.property(inputs, fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 6, maxLength: 6 }), (stated, sizes) => {
        const tensors = stated.map(({ name, shape }, at) => toTensor(name, shape.length === 0 ? [] : [sizes[at] ?? 0]));
        const differs = stated.some(({ shape: [a] }, i) =>
          stated.some(
            ({ shape: [b] }, j) =>
              typeof a === "string" && a !== "?" && a === b && tensors[i]?.shape[0] !== tensors[j]?.shape[0],
          ),
        );
        const check = () => checkRows("m", toSharedRows(stated), tensors);
        if (differs) expect(check).toThrow(/batch size does not match other inputs/u);
        else expect(check).not.toThrow();
      }),
    );
  });
});

describe("the rows of a request", () => {
  it("are at most those that the model's configuration announces, and free where it has no batch dimension", () => {
    const rows = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(rows, fc.constantFrom(0, 2, 8), (sizes, maxBatchSize) => {
        const tensors = sizes.map((size, at) => toTensor(`x${at}`, [size, 2]));
        const check = () => checkBatch("m", maxBatchSize, tensors);
        if (maxBatchSize === 0 || Math.max(...sizes) <= maxBatchSize) expect(check).not.toThrow();
        else expect(check).toThrow(`inference request batch-size must be <= ${maxBatchSize} for 'm'`);
      }),
    );
  });
});
