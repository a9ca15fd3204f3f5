import { mlpModel } from "@fairlead/inference/testing";
import { describe, expect, it } from "vitest";
import type { LoadScheduling } from "./ipc.ts";
import { json, ServingHarness, type HttpAnswer } from "./testing/serving-harness.ts";

/** Some milliseconds for one row, so that what requests cost beside their runs leaves no gaps between these. */
const heavy = mlpModel({ widths: [8, 2_048, 2_048, 1_024, 4], softmax: false });
const data = Array.from({ length: 8 }, (_, index) => index);
const inputs = [{ name: "x", datatype: "FP32", shape: [1, 8], data }];
const body = JSON.stringify({ inputs });
const urgentBody = JSON.stringify({ parameters: { priority: 1 }, inputs });
const clientShares = { a: 0.7, b: 0.3 };

async function open(scheduling: LoadScheduling): Promise<ServingHarness> {
  const harness = new ServingHarness({ lanes: 1 });
  await harness.event("ready");
  await harness.serve(harness.toLoad("m", heavy, { slot: "m", model: "m", scheduling }));
  return harness;
}

/** Keeps `outstanding` requests in flight until `isOver`; the answers in the order in which they came. */
async function keepAsking(
  harness: ServingHarness,
  parts: { readonly client: string; readonly outstanding: number; readonly body?: string },
  isOver: () => boolean,
): Promise<HttpAnswer[]> {
  const answers: HttpAnswer[] = [];
  const { client, outstanding } = parts;
  const call = { path: "/v2/models/m/infer", body: parts.body ?? body, headers: { "x-fairlead-client": client } };
  const loop = async () => {
    while (!isOver()) answers.push(await harness.http(call));
  };
  await Promise.all(Array.from({ length: outstanding }, loop));
  return answers;
}

const count = (answers: readonly HttpAnswer[], status: number) => answers.filter((one) => one.status === status).length;

describe("two clients of one model that fight for the device", { timeout: 40_000 }, () => {
  it("have its time by their shares of 0.7 and 0.3 within 0.05, however much the one with the smaller share asks", async () => {
    await using harness = await open({ clientShares });
    const answered: string[] = [];
    const note = async (client: string, outstanding: number) =>
      keepAsking(harness, { client, outstanding }, () => answered.push(client) >= 600);
    const answers = (await Promise.all([note("a", 6), note("b", 18)])).flat();
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    // By answers, since every run costs the same. One that a busy machine stretches is counted as long as it took, and
    // the next few are the other client's: so the parts are judged, and the one in the middle speaks for them.
    const parts = Array.from({ length: 12 }, (_, part) => answered.slice(50 * part, 50 * (part + 1)));
    const shares = parts.map((part) => part.filter((client) => client === "a").length / part.length);
    expect(Math.abs((shares.toSorted((left, right) => left - right)[6] ?? 0) - 0.7)).toBeLessThan(0.05);
  });

  it("get 429 for what the greedy one asks beyond its share of the queue, and 200 for all that the modest one asks", async () => {
    await using harness = await open({ clientShares, queueLimit: 8 });
    let isOver = false;
    const greedy = keepAsking(harness, { client: "b", outstanding: 24 }, () => isOver);
    let asked = 0;
    const modest = await keepAsking(harness, { client: "a", outstanding: 2 }, () => (asked += 1) > 60);
    isOver = true;
    const refused = await greedy;
    expect(count(modest, 200)).toBe(60);
    expect(modest).toHaveLength(60);
    const over = refused.filter(({ status }) => status === 429);
    expect(over.length).toBeGreaterThan(0);
    expect(json(over[0]?.bytes ?? Buffer.from("null"))).toEqual({
      error: "model 'm' has 8 requests in flight, and this client holds more of them than its share",
    });
    // It is not locked out: what is within its share is answered.
    expect(count(refused, 200)).toBeGreaterThan(0);
    expect(count(refused, 200) + count(refused, 429) + count(refused, 503)).toBe(refused.length);
  });

  it("leave the one with a share of 0.7 that share beside eight names without one that call all they ask urgent", async () => {
    await using harness = await open({ clientShares: { a: 0.7 }, queueLimit: 200 });
    let answered = 0;
    const isEnough = () => {
      answered += 1;
      return answered >= 400;
    };
    const names = Array.from({ length: 8 }, (_, index) => `other-${index}`);
    const [a, ...others] = await Promise.all([
      keepAsking(harness, { client: "a", outstanding: 24 }, isEnough),
      ...names.map((client) => keepAsking(harness, { client, outstanding: 3, body: urgentBody }, isEnough)),
    ]);
    const total = a.length + others.reduce((sum, answers) => sum + answers.length, 0);
    expect(count([a, ...others].flat(), 200)).toBe(total);
    expect(a.length / total).toBeGreaterThan(0.65);
  });
});
