import { endlessLoopModel, mlpModel } from "@fairlead/inference/testing";
import { describe, expect, it } from "vitest";
import { json, ServingHarness, type HttpAnswer } from "./testing/serving-harness.ts";

const light = mlpModel({ widths: [8, 4], softmax: false });
const data = Array.from({ length: 8 }, (_, index) => index);

function ask(
  harness: ServingHarness,
  parameters: Readonly<Record<string, unknown>>,
  model = "light",
): Promise<HttpAnswer> {
  const inputs = [{ name: "x", datatype: "FP32", shape: [1, 8], data }];
  return harness.http({ path: `/v2/models/${model}/infer`, body: JSON.stringify({ parameters, inputs }) });
}

/** As many rounds of a loop as the request says: a run of any length. */
function askRounds(harness: ServingHarness, rounds: number): Promise<HttpAnswer> {
  const inputs = [
    { name: "x", datatype: "FP32", shape: [4], data: [0, 0, 0, 0] },
    { name: "trips", datatype: "INT64", shape: [1], data: [rounds] },
  ];
  return harness.http({ path: "/v2/models/slow/infer", body: JSON.stringify({ inputs }) });
}

/** One lane, which a run of at least 300 ms can take; the rounds that this takes here. */
async function open(): Promise<{ harness: ServingHarness; rounds: number }> {
  const harness = new ServingHarness({ lanes: 1 });
  await harness.event("ready");
  const slow = endlessLoopModel({ trips: "asked" });
  await harness.serve(harness.toLoad("slow", slow, { slot: "slow", model: "slow", deadlineMs: 30_000 }));
  await harness.serve(harness.toLoad("light", light, { slot: "light", model: "light" }));
  for (let rounds = 1_000; ; rounds *= 2) {
    const beganMs = performance.now();
    expect((await askRounds(harness, rounds)).status).toBe(200);
    if (performance.now() - beganMs > 400) return { harness, rounds };
  }
}

async function isRunning(harness: ServingHarness): Promise<void> {
  const untilMs = performance.now() + 5_000;
  while ((await harness.must({ kind: "ping" })).inflight === 0)
    if (performance.now() > untilMs) throw new Error("the slow run does not begin");
}

describe("what a request says of itself over HTTP", { timeout: 40_000 }, () => {
  it("ends a wait beyond its timeout with 504, before the run that is in its way has ended, and counts it", async () => {
    const { harness, rounds } = await open();
    await using _owned = harness;
    let isSlowOver = false;
    const slow = askRounds(harness, rounds).finally(() => (isSlowOver = true));
    await isRunning(harness);
    const [late, patient] = await Promise.all([
      ask(harness, { timeout: 1_000 }).then((answer) => ({ answer, isSlowOver })),
      ask(harness, { timeout: 30_000_000 }),
    ]);
    expect(late.answer.status).toBe(504);
    expect(json(late.answer.bytes)).toEqual({ error: "the request's timeout passed before its run began" });
    expect(late.isSlowOver).toBe(false);
    expect(patient.status).toBe(200);
    expect((await slow).status).toBe(200);
    const { loads } = await harness.must({ kind: "collect" });
    expect(loads.find(({ loadId }) => loadId === "light")).toMatchObject({ requests: 2, errors: { overloaded: 1 } });
    // With the lane free the same timeout is enough for a run to begin.
    expect((await ask(harness, { timeout: 1_000_000 })).status).toBe(200);
  });

  it.each([{ priority: "batch" }, { priority: 7 }])(
    "holds a request with %o still while the device throttles, and answers one of the same model without it",
    async (parameters) => {
      await using harness = new ServingHarness({ lanes: 1 });
      await harness.event("ready");
      await harness.serve(harness.toLoad("light", light, { slot: "light", model: "light" }));
      await harness.must({ kind: "throttle", throttled: true });
      let isAnswered = false;
      const held = ask(harness, parameters).finally(() => (isAnswered = true));
      for (let round = 0; round < 30; round += 1) expect((await ask(harness, {})).status).toBe(200);
      for (const priority of ["realtime", "normal", 0, 1]) expect((await ask(harness, { priority })).status).toBe(200);
      expect(isAnswered).toBe(false);
      await harness.must({ kind: "throttle", throttled: false });
      expect((await held).status).toBe(200);
    },
  );

  it("lets a realtime request pass those that waited before it, and a batch request be passed by all", async () => {
    const { harness, rounds } = await open();
    await using _owned = harness;
    const slow = askRounds(harness, rounds);
    await isRunning(harness);
    const order: string[] = [];
    const asked = ["batch", "normal", "realtime"].map(async (priority) => {
      expect((await ask(harness, { priority })).status).toBe(200);
      order.push(priority);
    });
    await Promise.all([slow, ...asked]);
    expect(order).toEqual(["realtime", "normal", "batch"]);
  });

  it("lets a realtime request pass no other slot: there the operator's word counts, and a client may only stand back", async () => {
    const { harness, rounds } = await open();
    await using _owned = harness;
    const scheduling = { priority: "realtime" } as const;
    await harness.serve(harness.toLoad("urgent", light, { slot: "urgent", model: "urgent", scheduling }));
    const slow = askRounds(harness, rounds);
    await isRunning(harness);
    const order: string[] = [];
    const asked = [
      { model: "light", priority: "realtime" },
      { model: "urgent", priority: "batch" },
      { model: "urgent", priority: "normal" },
    ].map(async ({ model, priority }) => {
      expect((await ask(harness, { priority }, model)).status).toBe(200);
      order.push(`${model} ${priority}`);
    });
    await Promise.all([slow, ...asked]);
    expect(order).toEqual(["urgent normal", "light realtime", "urgent batch"]);
  });
});
