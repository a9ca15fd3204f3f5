import { squareRootModel } from "@fairlead/inference/testing";
import { expect, it } from "vitest";
import type { LoadStatistics } from "./ipc.ts";
import { digitModel, readDigits, ServingHarness } from "./testing/serving-harness.ts";

const classification = { output: "probabilities", labels: "0123456789".split("") };
const tolerance = { absolute: 1e-3, relative: 1e-2 };
const digits = readDigits().slice(0, 120);

async function serveWithShadow(serving: ServingHarness, version: string) {
  await serving.serve(serving.toLoad("active", digitModel("1.0.0-int8"), { classification }));
  await serving.must(serving.toLoad("shadow", digitModel(version), { classification, version: "1.1.0" }));
  await serving.must({ kind: "shadow", slot: "reader", loadId: "shadow", share: 1, tolerance });
}

async function ask(serving: ServingHarness, pixels: readonly number[]): Promise<number> {
  const inputs = [{ name: "image", datatype: "FP32", shape: [1, 1, 8, 8], data: pixels }];
  const answer = await serving.http({
    path: "/v2/models/digit-reader/infer",
    body: JSON.stringify({ inputs, outputs: [{ name: "probabilities" }] }),
  });
  expect(answer.status).toBe(200);
  const { outputs } = JSON.parse(answer.bytes.toString()) as { outputs: { data: number[] }[] };
  const shares = outputs[0]?.data ?? [];
  return shares.indexOf(Math.max(...shares));
}

/** Collects until the shadow has answered or skipped this many inputs. */
async function collect(serving: ServingHarness, loadId: string, count: number): Promise<LoadStatistics[]> {
  const parts: LoadStatistics[] = [];
  const deadline = Date.now() + 10_000;
  for (let seen = 0; seen < count;) {
    if (Date.now() > deadline) throw new Error(`only ${seen} of ${count} were compared`);
    const { loads } = await serving.must({ kind: "collect" });
    const mine = loads.filter((load) => load.loadId === loadId);
    for (const { shadow, errors } of mine)
      seen += (shadow?.compared ?? 0) + (shadow?.skipped ?? 0) + (errors.runtime ?? 0);
    parts.push(...mine);
  }
  return parts;
}

/** Each answer's comparison is waited for, so that none finds more copies waiting than may. */
async function askOneByOne(serving: ServingHarness, count: number): Promise<LoadStatistics[]> {
  const parts: LoadStatistics[] = [];
  for (const { pixels } of digits.slice(0, count)) {
    await ask(serving, pixels);
    parts.push(...(await collect(serving, "shadow", 1)));
  }
  return parts;
}

const sum = (parts: readonly LoadStatistics[], read: (part: LoadStatistics) => number | undefined) =>
  parts.reduce((total, part) => total + (read(part) ?? 0), 0);

it("gives a shadow the same inputs, answers with the active build alone, and counts how often the two agree", async () => {
  await using serving = new ServingHarness();
  await serveWithShadow(serving, "1.1.0-int8");
  await using other = new ServingHarness();
  await other.serve(other.toLoad("newer", digitModel("1.1.0-int8"), { classification, version: "1.1.0" }));
  await using alone = new ServingHarness();
  await alone.serve(alone.toLoad("alone", digitModel("1.0.0-int8"), { classification }));
  let alike = 0;
  const parts: LoadStatistics[] = [];
  for (const { pixels } of digits) {
    const answer = await ask(serving, pixels);
    expect(answer, "the shadow never answers").toBe(await ask(alone, pixels));
    if (answer === (await ask(other, pixels))) alike += 1;
    parts.push(...(await collect(serving, "shadow", 1)));
  }
  expect(sum(parts, ({ shadow }) => shadow?.compared)).toBe(digits.length);
  expect(sum(parts, ({ shadow }) => shadow?.agreed)).toBe(alike);
  expect(alike).toBeLessThan(digits.length);
  expect(parts.at(-1)).toMatchObject({ version: "1.1.0", errors: {} });
  expect(sum(parts, ({ requests }) => requests)).toBe(digits.length);
  expect(sum(parts, ({ busyUs }) => busyUs)).toBeGreaterThan(0);
  expect(sum(parts, ({ shadow }) => shadow?.activeLatencyUs.sum)).toBeGreaterThan(0);
});

it("shows a miscalibrated build for what it is, before anybody was answered by it", async () => {
  await using serving = new ServingHarness();
  await serveWithShadow(serving, "1.2.0-int8-miscalibrated");
  for (const { pixels } of digits) await ask(serving, pixels);
  const parts = await collect(serving, "shadow", digits.length);
  const compared = sum(parts, ({ shadow }) => shadow?.compared);
  expect(sum(parts, ({ shadow }) => shadow?.agreed) / compared).toBeLessThan(0.6);
});

it("compares values where the release names no classes, and reports their largest difference", async () => {
  await using serving = new ServingHarness();
  await serving.serve(serving.toLoad("active", digitModel("1.1.0-fp32")));
  await serving.must(serving.toLoad("shadow", digitModel("1.1.0-int8"), { version: "1.1.1" }));
  const shadow = { kind: "shadow", slot: "reader", loadId: "shadow", share: 1 } as const;
  await serving.must({ ...shadow, tolerance: { absolute: 0, relative: 0 } });
  const strict = await askOneByOne(serving, 20);
  expect(sum(strict, (part) => part.shadow?.agreed)).toBe(0);
  expect(Math.max(...strict.map((part) => part.shadow?.maxDifference ?? 0))).toBeGreaterThan(0);
  await serving.must({ ...shadow, tolerance: { absolute: 100, relative: 0 } });
  expect(sum(await askOneByOne(serving, 20), (part) => part.shadow?.agreed)).toBe(20);
});

it("is given its share of the requests", async () => {
  await using serving = new ServingHarness();
  await serveWithShadow(serving, "1.1.0-int8");
  await serving.must({ kind: "shadow", slot: "reader", loadId: "shadow", share: 0.25, tolerance });
  for (let count = 0; count < 400; count += 1) await ask(serving, digits[count % digits.length]!.pixels);
  // 400 draws of 0.25: 100 with a deviation of 8.7; forty is more than four of them.
  const parts = await collect(serving, "shadow", 60);
  const { loads } = await serving.must({ kind: "collect" });
  const picked = [...parts, ...loads.filter(({ loadId }) => loadId === "shadow")];
  const count = sum(picked, ({ shadow }) => (shadow?.compared ?? 0) + (shadow?.skipped ?? 0));
  expect(count).toBeGreaterThanOrEqual(60);
  expect(count).toBeLessThanOrEqual(140);
});

it("becomes the active build without being loaded again, and no request fails while it does", async () => {
  await using serving = new ServingHarness();
  await serveWithShadow(serving, "1.1.0-int8");
  // Fewer than may wait at a time.
  const asking = digits.slice(0, 40).map(({ pixels }) => ask(serving, pixels));
  await serving.must({ kind: "activate", slot: "reader", loadId: "shadow" });
  await Promise.all(asking);
  await serving.must({ kind: "unload", loadId: "active" });
  await serving.must({ kind: "collect" });
  await ask(serving, digits[0]!.pixels);
  const { loads } = await serving.must({ kind: "collect" });
  expect(loads).toMatchObject([{ loadId: "shadow", requests: 1 }]);
  expect(loads[0]).not.toHaveProperty("shadow");
});

it("counts errors of a shadow that does not take what the active build takes as the shadow's own", async () => {
  await using serving = new ServingHarness();
  await serving.serve(serving.toLoad("active", digitModel("1.0.0-int8"), { classification }));
  await serving.must(serving.toLoad("shadow", squareRootModel(), { version: "2.0.0" }));
  await serving.must({ kind: "shadow", slot: "reader", loadId: "shadow", share: 1, tolerance });
  const parts = await askOneByOne(serving, 10);
  expect(sum(parts, ({ errors }) => errors.runtime)).toBe(10);
  expect(sum(parts, ({ shadow }) => shadow?.compared)).toBe(0);
});

it("goes on after requests whose answers JSON cannot carry: they wait for nothing, and their values are counted", async () => {
  await using serving = new ServingHarness();
  await serving.serve(serving.toLoad("active", squareRootModel()));
  await serving.must(serving.toLoad("shadow", squareRootModel(), { version: "2.0.0" }));
  await serving.must({ kind: "shadow", slot: "reader", loadId: "shadow", share: 1, tolerance });
  const askRoots = async (data: readonly number[]): Promise<number> => {
    const body = JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data }] });
    return (await serving.http({ path: "/v2/models/digit-reader/infer", body })).status;
  };
  // More of them than copies may wait at a time.
  for (let count = 0; count < 8; count += 1) expect(await askRoots([-1, 1, 4, 9])).toBe(500);
  const { loads } = await serving.must({ kind: "collect" });
  expect(sum(loads, ({ nanCount }) => nanCount)).toBe(8);
  expect(await askRoots([1, 1, 4, 9])).toBe(200);
  const [part] = (await collect(serving, "shadow", 1)).filter(({ shadow }) => shadow?.compared === 1);
  expect(part?.shadow).toMatchObject({ compared: 1, agreed: 1, skipped: 0 });
});

it("refuses a shadow of another slot, of the serving build, and terms out of range; its unload ends it", async () => {
  await using serving = new ServingHarness();
  await serveWithShadow(serving, "1.1.0-int8");
  const shadow = { kind: "shadow", slot: "reader", loadId: "shadow", share: 1, tolerance } as const;
  const codes = await Promise.all(
    [
      { ...shadow, slot: "other" },
      { ...shadow, loadId: "active" },
      { ...shadow, loadId: "gone" },
      { ...shadow, share: 2 },
      { ...shadow, tolerance: { absolute: Number.NaN, relative: 0 } },
    ].map(async (request) => {
      const answer = await serving.ask(request);
      return answer.ok ? "ok" : answer.error.code;
    }),
  );
  expect(codes).toEqual(["slot_mismatch", "load_active", "load_unknown", "request_invalid", "request_invalid"]);
  await serving.must({ kind: "unload", loadId: "shadow" });
  await ask(serving, digits[0]!.pixels);
  const { loads } = await serving.must({ kind: "collect" });
  expect(loads.map(({ loadId }) => loadId)).toEqual(["active"]);
});
