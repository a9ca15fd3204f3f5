import { mlpModel } from "@fairlead/inference/testing";
import { describe, expect, it } from "vitest";
import { toInstanceKind } from "./model-documents.ts";
import { ServingHarness } from "./testing/serving-harness.ts";

const json = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
const toBody = (width: number) =>
  JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, width], data: Array(width).fill(1) }] });

describe("what the endpoint says of its models", { timeout: 20_000 }, () => {
  it("shows how a slot shares the device, in Triton's words", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    const scheduling = { instances: 3, maxBatchSize: 16, maxQueueDelayMs: 2.5, queueLimit: 40 };
    const model = mlpModel({ widths: [4, 3] });
    await harness.serve(harness.toLoad("a", model, { slot: "a", model: "joined", scheduling }));
    const alone = { instances: 2, queueLimit: 7, priority: "batch" } as const;
    await harness.serve(harness.toLoad("b", model, { slot: "b", model: "alone", scheduling: alone }));
    const get = async (path: string) => json((await harness.http({ path })).bytes);
    expect(await get("/v2/models/joined/config")).toMatchObject({
      max_batch_size: 16,
      input: [{ name: "x", dims: [4] }],
      output: [{ dims: [3] }],
      instance_group: [{ count: 3, kind: "KIND_CPU" }],
      dynamic_batching: { max_queue_delay_microseconds: 2_500, default_queue_policy: { max_queue_size: 40 } },
    });
    const config = await get("/v2/models/alone/config");
    expect(config).toMatchObject({
      max_batch_size: 0,
      input: [{ name: "x", dims: [-1, 4] }],
      instance_group: [{ count: 2, kind: "KIND_CPU" }],
      parameters: { queue_limit: { string_value: "7" }, priority: { string_value: "batch" } },
    });
    expect(config).not.toHaveProperty("dynamic_batching");
  });

  it("lists every version of a model, and answers, counts and is ready by version", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    const load = (slot: string, version: string, width: number) =>
      harness.serve(harness.toLoad(slot, mlpModel({ widths: [width, 2] }), { slot, model: "reader", version }));
    await load("old", "1.0.0", 4);
    await load("new", "2.0.0", 3);
    const get = async (path: string) => {
      const { status, bytes } = await harness.http({ path: `/v2/models/reader${path}` });
      return { status, document: json(bytes) };
    };
    const infer = async (path: string, width: number) =>
      (await harness.http({ path: `/v2/models/reader${path}/infer`, body: toBody(width) })).status;
    expect([await infer("/versions/1.0.0", 4), await infer("/versions/2.0.0", 3), await infer("", 3)]).toEqual([
      ...[200, 200, 200],
    ]);
    expect([await infer("/versions/1.0.0", 3), await infer("", 4), await infer("/versions/3.0.0", 3)]).toEqual([
      ...[400, 400, 404],
    ]);
    const versions = ["1.0.0", "2.0.0"];
    expect((await get("")).document).toMatchObject({ versions, inputs: [{ shape: [-1, 3] }] });
    expect((await get("/versions/1.0.0")).document).toMatchObject({ versions, inputs: [{ shape: [-1, 4] }] });
    expect((await get("/config")).document).toMatchObject({ version_policy: { specific: { versions } } });
    const counts = async (path: string) => {
      const { model_stats: stats } = (await get(path)).document as {
        model_stats: { version: string; inference_count: number }[];
      };
      return stats.map(({ version, inference_count: count }) => [version, count]);
    };
    expect(await counts("/stats")).toEqual([
      ["1.0.0", 1],
      ["2.0.0", 2],
    ]);
    expect(await counts("/versions/1.0.0/stats")).toEqual([["1.0.0", 1]]);

    await harness.must({ kind: "stop-serving", slot: "old", reason: "stopped" });
    expect((await get("/versions/1.0.0/ready")).status).toBe(503);
    expect((await get("/versions/2.0.0/ready")).status).toBe(200);
    expect((await get("/ready")).status).toBe(200);
    expect((await get("/versions/3.0.0/ready")).status).toBe(404);
  });
});

it("names the kind of instance by what was proved, not by what was asked for", () => {
  const toKind = (requestedProviders: string[], shares: Record<string, number> | null) =>
    toInstanceKind({ requestedProviders, shares, proof: "" });
  expect(toKind(["cpu"], { cpu: 1 })).toBe("KIND_CPU");
  expect(toKind(["webgpu", "cpu"], { webgpu: 0.9, cpu: 0.1 })).toBe("KIND_GPU");
  expect(toKind(["webgpu", "cpu"], { webgpu: 0, cpu: 1 })).toBe("KIND_CPU");
  expect(toKind(["tensorrt"], { tensorrt: 1 })).toBe("KIND_GPU");
  expect(toKind(["qnn"], { qnn: 1 })).toBe("KIND_MODEL");
  expect(toKind(["tensorrt", "cpu"], null)).toBe("KIND_AUTO");
  expect(toKind(["cpu"], null)).toBe("KIND_CPU");
});
