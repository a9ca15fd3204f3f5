import { describe, expect, it } from "vitest";
import { checkOutputs } from "./check-outputs.ts";

const check = (stated: readonly number[], shape: readonly number[]) => () =>
  checkOutputs("m", [{ name: "y", datatype: "FP32", shape: stated }], [{ name: "y", shape }]);

describe("the outputs of a model", () => {
  it.each([
    [
      [-1, 10],
      [3, 10],
    ],
    [[4], [4]],
    [
      [1, 10],
      [8, 10],
    ],
    [[], [2, 2]],
    [
      [-1, -1],
      [0, 7],
    ],
  ])("that states %j may have the shape %j", (stated, shape) => {
    expect(check(stated, shape)).not.toThrow();
  });

  it.each([
    [[7], [4]],
    [
      [-1, 10],
      [3, 11],
    ],
    [[-1, 10], [30]],
    [
      [2, 2],
      [2, 2, 1],
    ],
    [
      [1, 1],
      [1, 2],
    ],
  ])("that states %j may not have the shape %j", (stated, shape) => {
    expect(check(stated, shape)).toThrow(
      expect.objectContaining({ code: "inference_failed", message: expect.stringContaining(`[${shape.join(",")}]`) }),
    );
  });
});
