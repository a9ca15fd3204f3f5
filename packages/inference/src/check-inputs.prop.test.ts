import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkRows, toSharedRows } from "./check-inputs.ts";
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
