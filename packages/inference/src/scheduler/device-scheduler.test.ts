import { afterEach, describe, expect, it } from "vitest";
import { createOnnxRuntime } from "../onnxruntime.ts";
import type { LoadedModel } from "../port.ts";
import type { Tensor } from "../tensor.ts";
import { buildOnnxModel, doublingModel, mlpModel } from "../testing/index.ts";
import { DeviceScheduler, type ScheduledAsk, type ScheduledModel } from "./device-scheduler.ts";
import { defaultSettings, type ModelSettings } from "./settings.ts";

const opened: LoadedModel[] = [];
afterEach(async () => {
  for (const model of opened.splice(0)) await model.close();
});

const code = (expected: string) => expect.objectContaining({ code: expected });
const normal: ScheduledAsk = { priority: "normal", timeoutMs: null, client: null, onReleased: null, alone: false };
const batch: ScheduledAsk = { ...normal, priority: "batch" };
const realtime: ScheduledAsk = { ...normal, priority: "realtime" };
const toScheduler = (lanes = 1) => new DeviceScheduler({ lanes, nowMs: () => performance.now() });
const x = (rows: number[][]): Tensor[] => [
  { name: "x", datatype: "FP32", shape: [rows.length, rows[0]!.length], data: Float32Array.from(rows.flat()) },
];
/** About a millisecond for one row. */
const heavy = () => mlpModel({ widths: [64, 2_048, 1_024, 8] });
const heavyRow = () => x([Array.from({ length: 64 }, (_, index) => index / 64)]);

async function open(
  scheduler: DeviceScheduler,
  id: string,
  parts: {
    bytes?: Uint8Array<ArrayBuffer>;
    settings?: Partial<ModelSettings>;
    slot?: string;
    instances?: number;
    watch?: (instance: LoadedModel, index: number) => LoadedModel;
  } = {},
): Promise<ScheduledModel & { busy: boolean[] }> {
  const load = () => createOnnxRuntime().load(parts.bytes?.slice() ?? heavy());
  const watch = parts.watch ?? ((instance: LoadedModel) => instance);
  const first = watch(await load(), 0);
  const others = await Promise.all(Array.from({ length: (parts.instances ?? 1) - 1 }, load));
  const rest = others.map((instance, index) => watch(instance, index + 1));
  opened.push(first, ...rest);
  const busy: boolean[] = [];
  const model = scheduler.open({
    id,
    slot: parts.slot ?? id,
    name: id,
    settings: { ...defaultSettings, queueLimit: 1_000, ...parts.settings },
    instances: [first, ...rest],
    deadlineMs: 5_000,
    onBusy: (now) => busy.push(now),
    onRunFailed: () => undefined,
  });
  return Object.assign(model, { busy });
}

describe("the device's scheduler on ONNX Runtime", () => {
  it("answers a client that is alone before it counts the run off, and others after", async () => {
    const scheduler = toScheduler();
    const model = await open(scheduler, "m");
    await model.infer(heavyRow(), { ...normal, alone: true });
    expect(model.busy).toEqual([true]);
    expect(model.pending).toBe(1);
    // What was asked meanwhile begins once it is counted off.
    await model.infer(heavyRow(), normal);
    expect(model.busy).toEqual([true, false]);
    expect(model.pending).toBe(0);
    // Called alone by mistake, with one behind it: nobody waits a turn longer than it must.
    await Promise.all([model.infer(heavyRow(), { ...normal, alone: true }), model.infer(heavyRow(), normal)]);
    await model.close();
    expect(model.busy.at(-1)).toBe(false);
  });

  it("joins requests into one run and gives each caller its own rows", async () => {
    const model = await open(toScheduler(), "m", {
      bytes: doublingModel(),
      settings: { maxBatchSize: 64, maxQueueDelayMs: 5 },
    });
    const asked = Array.from({ length: 40 }, (_, index) =>
      Array.from({ length: 1 + (index % 3) }, (_row, row) => [index, row, index + row, index / 2]),
    );
    const results = await Promise.all(asked.map((rows) => model.infer(x(rows), normal)));
    for (const [index, { outputs }] of results.entries()) {
      expect(outputs[0]!.shape).toEqual([asked[index]!.length, 4]);
      expect([...outputs[0]!.data]).toEqual(asked[index]!.flat().map((value) => 2 * value));
    }
    const runs = results.filter(({ leads }) => leads).length;
    expect(runs).toBeLessThan(5);
    expect(results.every(({ batchRows }) => batchRows <= 64)).toBe(true);
    const [share, whole] = results.reduce(
      ([sum, total], result) => [sum + result.shareUs, total + (result.leads ? result.runUs : 0)],
      [0, 0],
    );
    expect(share).toBeCloseTo(whole, 3);
    expect(model.busy.at(-1)).toBe(false);
  });

  it("runs the requests of a failed join alone, so that one cannot spoil the others", async () => {
    // Gather fails on an index outside its table; the rows of the others are right.
    const table = buildOnnxModel({
      graph: {
        nodes: [{ op: "Gather", inputs: ["table", "index"], outputs: ["y"] }],
        initializers: [{ name: "table", type: "float32", dims: [3], data: Float32Array.of(10, 20, 30) }],
        inputs: [{ name: "index", type: "int64", shape: ["batch"] }],
        outputs: [{ name: "y", type: "float32", shape: ["batch"] }],
      },
    });
    const model = await open(toScheduler(), "m", { bytes: table, settings: { maxBatchSize: 16 } });
    const ask = (index: bigint) =>
      model.infer([{ name: "index", datatype: "INT64", shape: [1], data: BigInt64Array.of(index) }], normal);
    const results = await Promise.allSettled([ask(0n), ask(7n), ask(2n)]);
    expect(results[1]).toMatchObject({ status: "rejected", reason: { code: "inference_failed" } });
    const values = results.map((result) => (result.status === "fulfilled" ? result.value.outputs[0]!.data[0] : null));
    expect(values).toEqual([10, null, 30]);
    expect(model.pending).toBe(0);
  });

  it("answers each caller its own even when a model mixes the rows that it calls free", async () => {
    const mixing = buildOnnxModel({
      graph: {
        nodes: [{ op: "ReduceMax", inputs: ["x"], outputs: ["y"], attributes: [{ name: "axes", ints: [0] }] }],
        inputs: [{ name: "x", type: "float32", shape: ["batch", 4] }],
        outputs: [{ name: "y", type: "float32", shape: ["any", 4] }],
      },
    });
    const model = await open(toScheduler(), "m", { bytes: mixing, settings: { maxBatchSize: 16 } });
    const rows = [1, 2, 3].map((value) => [value, -value, value, -value]);
    const results = await Promise.all(rows.map((row) => model.infer(x([row]), normal)));
    expect(results.map(({ outputs }) => [...outputs[0]!.data])).toEqual(rows);
    expect(results.map(({ leads }) => leads)).toEqual([true, true, true]);
  });

  it("lets a realtime request wait for one batch run at most", async () => {
    const model = await open(toScheduler(), "m");
    const order: string[] = [];
    const background = Array.from({ length: 20 }, async () => {
      await model.infer(heavyRow(), batch);
      order.push("batch");
    });
    await model.infer(heavyRow(), realtime);
    order.push("realtime");
    await Promise.all(background);
    expect(order.indexOf("realtime")).toBeLessThanOrEqual(1);
  });

  it("holds batch work while the device throttles and goes on afterwards", async () => {
    const scheduler = toScheduler();
    const model = await open(scheduler, "m", { bytes: doublingModel() });
    scheduler.setThrottled(true);
    let done = false;
    const held = model.infer(x([[1, 2, 3, 4]]), batch).then(() => (done = true));
    for (let round = 0; round < 50; round += 1) await model.infer(x([[1, 2, 3, 4]]), normal);
    expect(done).toBe(false);
    scheduler.setThrottled(false);
    await held;
  });

  it("answers a request whose time is over and never runs it", async () => {
    const model = await open(toScheduler(), "m");
    const ahead = Array.from({ length: 60 }, () => model.infer(heavyRow(), normal));
    const late = model.infer(heavyRow(), { ...batch, timeoutMs: 5 });
    await expect(late).rejects.toThrow(code("deadline_expired"));
    expect(model.pending).toBeGreaterThan(0);
    const results = await Promise.all(ahead);
    expect(results).toHaveLength(60);
  });

  it("refuses what its queue cannot hold, and takes places from a client that is over its quota", async () => {
    const model = await open(toScheduler(), "m", { settings: { queueLimit: 8 } });
    const greedy = Array.from({ length: 9 }, () => model.infer(heavyRow(), { ...normal, client: "greedy" }));
    const modest = model.infer(heavyRow(), { ...normal, client: "modest" });
    const results = await Promise.allSettled(greedy);
    const codes = results.map((result) =>
      result.status === "rejected" ? (result.reason as { code: string }).code : "ok",
    );
    expect(codes.filter((one) => one === "overloaded")).toHaveLength(1);
    expect(codes.filter((one) => one === "quota_exceeded")).toHaveLength(1);
    await expect(modest).resolves.toBeDefined();
  });

  it("shares the measured time of the device between two slots by quota within five percent", async () => {
    const scheduler = toScheduler();
    const models = await Promise.all(
      [0.75, 0.25].map((quotaShare, index) => open(scheduler, `m${index}`, { settings: { quotaShare } })),
    );
    const usedUs = [0, 0];
    const endAt = performance.now() + 1_500;
    const client = async (index: number) => {
      while (performance.now() < endAt) {
        const { shareUs } = await models[index]!.infer(heavyRow(), normal);
        usedUs[index]! += shareUs;
      }
    };
    await Promise.all([0, 1].flatMap((index) => Array.from({ length: 8 }, () => client(index))));
    expect(Math.abs(usedUs[0]! / (usedUs[0]! + usedUs[1]!) - 0.75)).toBeLessThan(0.05);
  });

  it.each([
    { lanes: 2, instances: 2, atOnce: 2 },
    { lanes: 3, instances: 2, atOnce: 2 },
    { lanes: 1, instances: 2, atOnce: 1 },
  ])("runs on $atOnce of $instances instances at once where there are $lanes lanes", async (row) => {
    const { lanes, instances, atOnce } = row;
    // A worker is handed a little ahead of need: what counts is how many instances work, not how many runs they hold.
    const held = Array.from({ length: instances }, () => 0);
    let most = 0;
    const watch = (instance: LoadedModel, index: number): LoadedModel => ({
      ...{ inputs: instance.inputs, outputs: instance.outputs, placement: instance.placement },
      get pending() {
        return instance.pending;
      },
      close: () => instance.close(),
      infer(...args) {
        held[index] = (held[index] ?? 0) + 1;
        most = Math.max(most, held.filter((runs) => runs > 0).length);
        return instance.infer(...args).finally(() => (held[index] = (held[index] ?? 0) - 1));
      },
    });
    const model = await open(toScheduler(lanes), "m", { instances, watch });
    const results = await Promise.all(Array.from({ length: 20 }, () => model.infer(heavyRow(), normal)));
    expect(results.map(({ outputs }) => [...outputs[0]!.data])).toEqual(
      Array.from({ length: 20 }, () => [...results[0]!.outputs[0]!.data]),
    );
    expect(most).toBe(atOnce);
  });

  it("closes after what waits and refuses what comes later", async () => {
    const model = await open(toScheduler(), "m");
    const runs = Array.from({ length: 12 }, () => model.infer(heavyRow(), normal));
    const closed = model.close();
    await expect(model.infer(heavyRow(), normal)).rejects.toThrow(code("model_closed"));
    await closed;
    expect(model.pending).toBe(0);
    await expect(Promise.all(runs)).resolves.toHaveLength(12);
  });
});
