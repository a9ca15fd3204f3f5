import { buildOnnxModel } from "@fairlead/inference/testing";
import { expect, it } from "vitest";
import { ServingHarness } from "./testing/serving-harness.ts";

/** a + b, two columns each; of one row of either the runtime makes as many as the other has. */
const toSum = (rowsOfB: string) =>
  buildOnnxModel({
    graph: {
      nodes: [{ op: "Add", inputs: ["a", "b"], outputs: ["y"] }],
      inputs: [
        { name: "a", type: "float32", shape: ["batch", 2] },
        { name: "b", type: "float32", shape: [rowsOfB, 2] },
      ],
      outputs: [{ name: "y", type: "float32", shape: ["sum", 2] }],
    },
  });

it("refuses inputs of one batch with different numbers of rows, and leaves those alone that the model names apart", async () => {
  await using harness = new ServingHarness();
  await harness.event("ready");
  await harness.serve(harness.toLoad("a", toSum("batch"), { slot: "a", model: "joined" }));
  await harness.serve(harness.toLoad("b", toSum("others"), { slot: "b", model: "apart" }));
  const infer = async (model: string, a: number, b: number) => {
    const toInput = (name: string, rows: number) => {
      return { name, datatype: "FP32", shape: [rows, 2], data: Array(rows * 2).fill(1) };
    };
    const body = JSON.stringify({ inputs: [toInput("a", a), toInput("b", b)] });
    const { status, bytes } = await harness.http({ path: `/v2/models/${model}/infer`, body });
    return { status, text: bytes.toString() };
  };
  for (const [a, b] of [
    [3, 1],
    [2, 3],
  ] as const) {
    const refused = await infer("joined", a, b);
    expect(refused).toMatchObject({ status: 400 });
    expect(refused.text).toContain(`input 'b' batch size does not match other inputs for 'joined': it has ${b}`);
  }
  expect((await infer("joined", 3, 3)).status).toBe(200);
  expect((await infer("apart", 3, 1)).status).toBe(200);
  expect((await infer("joined", 1, 1)).status).toBe(200);
}, 20_000);
