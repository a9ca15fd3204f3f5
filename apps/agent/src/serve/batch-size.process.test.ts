import { mlpModel } from "@fairlead/inference/testing";
import { describe, expect, it } from "vitest";
import { json, ServingHarness, type HttpAnswer } from "./testing/serving-harness.ts";

const model = mlpModel({ widths: [4, 3] });

function ask(harness: ServingHarness, name: string, rows: number): Promise<HttpAnswer> {
  const inputs = [{ name: "x", datatype: "FP32", shape: [rows, 4], data: Array(rows * 4).fill(1) }];
  return harness.http({ path: `/v2/models/${name}/infer`, body: JSON.stringify({ inputs }) });
}

interface Statistics {
  readonly inference_count: number;
  readonly execution_count: number;
  readonly batch_stats: readonly { readonly batch_size: number }[];
}

async function count(harness: ServingHarness, name: string): Promise<Statistics | undefined> {
  const { bytes } = await harness.http({ path: `/v2/models/${name}/stats` });
  return (json(bytes) as { model_stats: Statistics[] }).model_stats[0];
}

describe("max_batch_size", { timeout: 20_000 }, () => {
  it("is the most rows that a request may have, which are counted one by one", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(harness.toLoad("m", model, { slot: "m", model: "m", scheduling: { maxBatchSize: 8 } }));
    expect((await ask(harness, "m", 8)).status).toBe(200);
    const refused = await ask(harness, "m", 9);
    expect(refused.status).toBe(400);
    expect(json(refused.bytes)).toEqual({ error: "inference request batch-size must be <= 8 for 'm'" });
    expect(await count(harness, "m")).toMatchObject({ inference_count: 8, batch_stats: [{ batch_size: 8 }] });
  });

  it("is 0 where requests are not joined: any number of rows is one inference", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(harness.toLoad("m", model, { slot: "m", model: "m" }));
    for (const rows of [9, 200]) expect((await ask(harness, "m", rows)).status).toBe(200);
    expect(await count(harness, "m")).toMatchObject({ inference_count: 2, execution_count: 2 });
    expect((await count(harness, "m"))?.batch_stats.map(({ batch_size: size }) => size)).toEqual([1]);
  });
});
