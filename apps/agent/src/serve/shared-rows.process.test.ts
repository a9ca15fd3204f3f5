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

it("joins no requests of a model whose inputs are named to have rows of their own, whatever its slot is configured for", async () => {
  await using harness = new ServingHarness();
  await harness.event("ready");
  // A running sum over the source: rows of a second request would go on where those of the first end.
  const model = buildOnnxModel({
    graph: {
      nodes: [
        { op: "CumSum", inputs: ["x", "axis"], outputs: ["sums"] },
        { op: "Add", inputs: ["sums", "t"], outputs: ["y"] },
      ],
      initializers: [{ name: "axis", type: "int64", dims: [], data: BigInt64Array.of(0n) }],
      inputs: [
        { name: "x", type: "float32", shape: ["source"] },
        { name: "t", type: "float32", shape: ["target"] },
      ],
      outputs: [{ name: "y", type: "float32", shape: ["target"] }],
    },
  });
  const scheduling = { maxBatchSize: 8, maxQueueDelayMs: 20 };
  await harness.serve(harness.toLoad("m", model, { slot: "m", model: "m", scheduling }));
  const toInput = (name: string, value: number) => ({ name, datatype: "FP32", shape: [2], data: [value, value] });
  const body = JSON.stringify({ inputs: [toInput("x", 1), toInput("t", 0)] });
  const infer = async () => {
    const { bytes } = await harness.http({ path: "/v2/models/m/infer", body });
    return (JSON.parse(bytes.toString()) as { outputs: { data: number[] }[] }).outputs[0]?.data;
  };
  expect(await Promise.all(Array.from({ length: 6 }, infer))).toEqual(Array(6).fill([1, 2]));
  const { bytes } = await harness.http({ path: "/v2/models/m/config" });
  expect(JSON.parse(bytes.toString())).toMatchObject({ max_batch_size: 0 });
}, 20_000);
