import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Tensor } from "../tensor.ts";
import { AnswerMemo } from "./answer-memo.ts";
import { toInferResponse } from "./infer-response.ts";
import type { RequestedOutput } from "./requested-outputs.ts";

const model = { name: "m", version: "1.0.0" };

const classes = { kind: "classes", count: 1 } as const;
const shared = { kind: "shared", range: { region: "r", offset: 0, byteSize: 16 } } as const;

/** Arrays that requests share, as those do that say the same. */
const wishes: readonly (readonly RequestedOutput[])[] = [
  [{ name: "y", binary: true, instead: classes }],
  [
    { name: "y", binary: true, instead: shared },
    { name: "z", binary: true },
  ],
  [{ name: "y", binary: true }],
  [
    { name: "z", binary: true },
    { name: "y", binary: true },
  ],
  [{ name: "y", binary: false }],
  [
    { name: "y", binary: true },
    { name: "z", binary: false },
  ],
];

const answers = fc.record({
  id: fc.constantFrom(null, "7"),
  outputs: fc.constantFrom(...wishes),
  rows: fc.constantFrom(1, 2),
  fill: fc.nat(99),
});

function toOutputs(rows: number, isText: boolean, fill: number): Tensor[] {
  const z: Tensor = isText
    ? { name: "z", datatype: "BYTES", shape: [1], data: Uint8Array.from([4, 0, 0, 0, 97, 98, 99, fill]) }
    : { name: "z", datatype: "INT64", shape: [1], data: BigInt64Array.of(BigInt(fill)) };
  return [{ name: "y", datatype: "FP32", shape: [rows, 2], data: new Float32Array(rows * 2).fill(fill) }, z];
}

describe("the memo of the last answer", () => {
  it.each([false, true])("gives what writing the answer anew gives, or nothing (one output is text: %s)", (isText) => {
    let recalls = 0;
    fc.assert(
      fc.property(fc.array(answers, { minLength: 10, maxLength: 40 }), (given) => {
        const memo = new AnswerMemo();
        for (const { id, outputs: wanted, rows, fill } of given) {
          const outputs = toOutputs(rows, isText, fill);
          const answer = toInferResponse(model, { id, outputs: wanted }, outputs);
          const recalled = memo.recall({ id, outputs: wanted }, outputs);
          if (recalled === null) memo.keep({ id, outputs: wanted }, outputs, answer);
          else {
            recalls += 1;
            expect(Buffer.concat(recalled.parts)).toEqual(Buffer.concat(answer.parts));
            expect(recalled).toMatchObject({ totalBytes: answer.totalBytes, jsonBytes: answer.jsonBytes });
          }
        }
      }),
      { numRuns: 300 },
    );
    expect(recalls).toBeGreaterThan(100);
  });

  it("keeps nothing that is not the model's own outputs", () => {
    const memo = new AnswerMemo();
    const outputs = toOutputs(1, false, 1);
    const wanted = { id: null, outputs: [{ name: "y", binary: true }] };
    const { parts, ...rest } = toInferResponse(model, wanted, outputs);
    memo.keep(wanted, outputs, { parts: parts.map((part) => Uint8Array.from(part)), ...rest });
    expect(memo.recall(wanted, outputs)).toBeNull();
  });
});
