import { readdirSync, readFileSync } from "node:fs";
import { mlpModel } from "@fairlead/inference/testing";
import { describe, expect, it } from "vitest";
import type { LoadRequest } from "./ipc.ts";
import { json, ServingHarness, type HttpAnswer } from "./testing/serving-harness.ts";

/** About a millisecond for one row; 9 MiB. */
const heavy = mlpModel({ widths: [8, 2_048, 1_024, 4], softmax: false });
const light = mlpModel({ widths: [8, 4], softmax: false });
const row = (value: number) => Array.from({ length: 8 }, (_, index) => value + index);

function ask(harness: ServingHarness, model: string, values: readonly number[]): Promise<HttpAnswer> {
  const data = values.flatMap(row);
  const inputs = [{ name: "x", datatype: "FP32", shape: [values.length, 8], data }];
  return harness.http({ path: `/v2/models/${model}/infer`, body: JSON.stringify({ inputs }) });
}

const toOutput = (answer: HttpAnswer) => (json(answer.bytes) as { outputs: { data: number[] }[] }).outputs[0]!.data;

function toLoad(
  harness: ServingHarness,
  id: string,
  { bytes = heavy, ...rest }: Partial<LoadRequest> & { readonly bytes?: typeof heavy } = {},
): LoadRequest {
  return harness.toLoad(id, bytes, { slot: id, model: id, ...rest });
}

async function codeOf(harness: ServingHarness, load: LoadRequest): Promise<string> {
  const response = await harness.ask(load);
  return response.ok ? "ok" : `${response.error.code}: ${response.error.message}`;
}

describe("the serving process shares the device", { timeout: 20_000 }, () => {
  it("joins the rows of many clients, answers each with its own and counts the runs", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(toLoad(harness, "plain"));
    await harness.serve(toLoad(harness, "joined", { scheduling: { maxBatchSize: 16, maxQueueDelayMs: 5 } }));
    const values = Array.from({ length: 40 }, (_, index) => index / 10);
    const wanted = await Promise.all(values.map(async (value) => toOutput(await ask(harness, "plain", [value]))));
    const got = await Promise.all(values.map(async (value) => toOutput(await ask(harness, "joined", [value]))));
    for (const [index, output] of got.entries()) {
      for (const [column, value] of output.entries()) expect(value).toBeCloseTo(wanted[index]![column]!, 3);
    }
    const stats = await harness.http({ path: "/v2/models/joined/stats" });
    const [model] = (json(stats.bytes) as { model_stats: Record<string, unknown>[] }).model_stats;
    expect(model).toMatchObject({ inference_count: 40 });
    expect(Number(model!["execution_count"])).toBeLessThan(25);
    type Durations = Record<"compute_input" | "compute_infer" | "compute_output", { count: number; ns: number }>;
    const sizes = model!["batch_stats"] as (Durations & { batch_size: number })[];
    for (const { compute_input: input, compute_infer: infer, compute_output: output } of sizes) {
      expect([input.count, output.count]).toEqual([infer.count, infer.count]);
      expect(Math.min(input.ns, output.ns)).toBeGreaterThan(0);
    }
    const { inference_stats: all } = model as unknown as { inference_stats: Durations };
    const sum = (of: keyof Durations) => sizes.reduce((total, size) => total + size[of].ns, 0);
    expect([sum("compute_input"), sum("compute_output")]).toEqual([all.compute_input.ns, all.compute_output.ns]);
    expect(sizes.reduce((sum, { batch_size, compute_infer }) => sum + batch_size * compute_infer.count, 0)).toBe(40);
    expect(Math.max(...sizes.map(({ batch_size }) => batch_size))).toBeGreaterThan(1);
  });

  it("says 503 when a load's own queue is full", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(toLoad(harness, "m", { scheduling: { queueLimit: 2 } }));
    const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => ask(harness, "m", [index])));
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(2);
    const refused = answers.find(({ status }) => status !== 200);
    expect(refused?.status).toBe(503);
    expect(refused?.bytes.toString()).toContain("2 requests in flight");
  });

  it("finishes what waits and runs before a build is unloaded", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(toLoad(harness, "old", { slot: "s", model: "m" }));
    await harness.must(toLoad(harness, "new", { slot: "s", model: "m" }));
    const asked = Array.from({ length: 30 }, (_, index) => ask(harness, "m", [index]));
    const deadline = performance.now() + 5_000;
    while ((await harness.must({ kind: "ping" })).inflight === 0 && performance.now() < deadline);
    await harness.must({ kind: "activate", slot: "s", loadId: "new" });
    await harness.must({ kind: "unload", loadId: "old" });
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array.from({ length: 30 }, () => 200));
    expect(await harness.must({ kind: "ping" })).toMatchObject({ loads: 1, inflight: 0 });
  });

  it("refuses a model that does not fit, says how much is missing and serves on", async () => {
    await using harness = new ServingHarness({ memoryBudgetBytes: 1_048_576 });
    await harness.event("ready");
    expect(await codeOf(harness, toLoad(harness, "m"))).toMatch(
      /^memory_insufficient: .*\d+ MiB are missing of \d+ MiB/u,
    );
    expect(await harness.must({ kind: "ping" })).toMatchObject({ loads: 0, inflight: 0 });
    await using roomy = new ServingHarness();
    await roomy.event("ready");
    const absurd = { ...toLoad(roomy, "huge"), sizeBytes: 2 ** 50 };
    expect(await codeOf(roomy, absurd)).toMatch(/^memory_insufficient/u);
  });

  it("gives up the longest unused load outside any slot for one that would not fit otherwise", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(toLoad(harness, "served"));
    for (const id of ["first", "second"]) await harness.must(toLoad(harness, id, { bytes: heavy }));
    const { rssBytes } = await harness.must({ kind: "ping" });
    await using tight = new ServingHarness({ memoryBudgetBytes: rssBytes + 20 * 1_048_576, unloadIdleMs: 1 });
    await tight.event("ready");
    await tight.serve(toLoad(tight, "served"));
    const unloaded = () => tight.events.flatMap((event) => (event.kind === "unloaded" ? [event.loadId] : []));
    let count = 0;
    while (unloaded().length === 0 && count < 10) {
      count += 1;
      expect(await codeOf(tight, toLoad(tight, `idle-${count}`))).toBe("ok");
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(unloaded()[0]).toBe("idle-1");
    expect((await ask(tight, "served", [1])).status).toBe(200);
  });

  it("holds batch slots still while the device throttles and runs them at the system's lowest priority", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(toLoad(harness, "live", { bytes: light }));
    await harness.serve(toLoad(harness, "archive", { scheduling: { priority: "batch" }, bytes: light }));
    await harness.must({ kind: "throttle", throttled: true });
    let answered = false;
    const held = ask(harness, "archive", [1]).then((answer) => {
      answered = true;
      return answer;
    });
    for (let round = 0; round < 30; round += 1) expect((await ask(harness, "live", [round])).status).toBe(200);
    expect(answered).toBe(false);
    await harness.must({ kind: "throttle", throttled: false });
    expect((await held).status).toBe(200);
    if (process.platform !== "linux") return;
    const tasks = `/proc/${harness.child.pid}/task`;
    // proc_pid_stat(5): niceness is field 19, policy field 41; the second ends the name, which may hold blanks.
    const background = readdirSync(tasks)
      .map((task) => readFileSync(`${tasks}/${task}/stat`, "utf8").split(") ").at(-1)?.split(" ").map(Number) ?? [])
      .filter((fields) => fields[16] === 19);
    const idlePolicy = 5;
    expect(background.map((fields) => fields[38])).toEqual([idlePolicy]);
  });

  it("refuses settings that are out of range by name", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    const scheduling = { maxBatchSize: 0, instances: 99, quotaShare: 2 };
    expect(await codeOf(harness, toLoad(harness, "m", { scheduling }))).toBe(
      "request_invalid: out of range: maxBatchSize, instances, quotaShare",
    );
  });
});
