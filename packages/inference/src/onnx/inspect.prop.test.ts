import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { convModel, endlessLoopModel, int4Model, nestedIfModel, upperCaseModel } from "../testing/example-models.ts";
import { mutateModel, toModelMutation, type ModelMutation } from "../testing/model-mutations.ts";
import { inspectOnnxBytes } from "./inspect.ts";
import { InspectionError } from "./inspection-error.ts";

/*
 * Whatever becomes of a real model on its way or in wrong hands: the check answers with its own error or with a description,
 * never with anything else, and soon. Some changes are blind, others keep the messages whole and reach what lies deeper.
 */

const digits = new URL("../../../../test/fixtures/digits/", import.meta.url);
const models: readonly Uint8Array[] = [
  readFileSync(new URL("digit-reader-1.0.0-fp32.onnx", digits)),
  readFileSync(new URL("digit-reader-1.0.0-int8.onnx", digits)),
  convModel({ height: 8, width: 8, channels: 4, depth: 2 }),
  ...[int4Model(), nestedIfModel(3), endlessLoopModel({ trips: 5n }), upperCaseModel()],
];

const place = fc.nat(1_000_000);
const mutation = fc.tuple(fc.nat(6), place, place).map(([kind, first, second]) => toModelMutation(kind, first, second));
const mutated = fc
  .tuple(fc.constantFrom(...models), mutation, mutation)
  .map(([model, first, last]) => [model, mutateModel(model, first), toBoth(model, first, last)] as const);

/** The second change may need a model that is whole, which the first may have taken. */
function toBoth(model: Uint8Array, first: ModelMutation, last: ModelMutation): Uint8Array {
  const keepsWhole = first.kind !== "cut" && first.kind !== "flip" && first.kind !== "splice";
  return mutateModel(mutateModel(model, keepsWhole ? first : last), keepsWhole ? last : first);
}

function answerOf(bytes: Uint8Array): "admitted" | "refused" {
  try {
    inspectOnnxBytes(bytes);
    return "admitted";
  } catch (error) {
    if (!(error instanceof InspectionError)) throw error;
    expect(error.hint).not.toBe("");
    expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    return "refused";
  }
}

describe("a changed model", () => {
  it("is described, or refused with a code: nothing else is thrown, and no answer takes long", () => {
    const answers = new Map<string, number>();
    let longestMs = 0;
    fc.assert(
      fc.property(mutated, (versions) => {
        for (const bytes of versions) {
          const begunMs = performance.now();
          const answer = answerOf(bytes);
          longestMs = Math.max(longestMs, performance.now() - begunMs);
          answers.set(answer, (answers.get(answer) ?? 0) + 1);
        }
      }),
      { numRuns: 800 },
    );
    // A walk of these small models takes less than a millisecond; the rest is for a machine that is busy.
    expect(longestMs).toBeLessThan(1_000);
    expect(answers.get("refused")).toBeGreaterThan(100);
    expect(answers.get("admitted")).toBeGreaterThan(100);
  }, 30_000);

  it("of noise is always refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => answerOf(bytes) === "refused"),
      { numRuns: 500 },
    );
  });
});
