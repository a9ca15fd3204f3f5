import {
  buildOnnxModel,
  endlessLoopModel,
  externalDataModel,
  forgedModels,
  hungryLoadModel,
  hungryModel,
  mlpModel,
  squareRootModel,
  type WrittenModel,
} from "@fairlead/inference/testing";
import { linkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseServingConfig } from "./config.ts";
import { readInflightLoads } from "./inflight.ts";
import { digitModel, json, readDigits, ServingHarness } from "./testing/serving-harness.ts";

/*
 * Models made to do harm (attacks A13 to A23), given to the real serving process as a device gives them to it: beside a
 * model that serves. What the static check refuses never reaches the runtime; what it rightly admits ends by itself, at a
 * deadline or at the memory limit, and names the model.
 */

const digit = readDigits()[0];
const pixels = digit?.pixels ?? [];

async function isServing(serving: ServingHarness): Promise<boolean> {
  const inputs = [{ name: "image", datatype: "FP32", shape: [1, 1, 8, 8], data: pixels }];
  const answer = await serving.http({ path: "/v2/models/digit-reader/infer", body: JSON.stringify({ inputs }) });
  return answer.status === 200;
}

const x = { name: "x", type: "float32", shape: [4] } as const;
const relu = { op: "Relu", inputs: ["x"], outputs: ["y"] };
const y = { ...x, name: "y" };
const toModel = (graph: Partial<WrittenModel["graph"]>, rest: Partial<WrittenModel> = {}): Uint8Array =>
  buildOnnxModel({ graph: { nodes: [relu], inputs: [x], outputs: [y], ...graph }, ...rest });
/** Expands to a size that it works out, so that nobody can foresee it. */
function expandingModel(elements: bigint): Uint8Array {
  const nodes = [
    { op: "Shape", inputs: ["x"], outputs: ["rows"] },
    { op: "Mul", inputs: ["rows", "count"], outputs: ["size"] },
    { op: "Expand", inputs: ["x", "size"], outputs: ["big"] },
    { op: "ReduceMax", inputs: ["big"], outputs: ["y"], attributes: [{ name: "keepdims", int: 0 }] },
  ];
  const count = { name: "count", type: "int64" as const, dims: [1], data: BigInt64Array.of(elements) };
  const edges = { inputs: [{ ...x, shape: ["rows"] }], outputs: [{ ...y, shape: [] }] };
  return toModel({ nodes, initializers: [count], ...edges });
}
const gelu = { ...relu, op: "QuickGelu", domain: "com.microsoft" };
const half = [
  { domain: "", version: 17 },
  { domain: "com.microsoft", version: 1 },
];
describe("a forged model that the static check refuses before the runtime sees a byte", () => {
  let serving: ServingHarness;
  beforeAll(async () => {
    serving = new ServingHarness();
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
  });
  afterAll(() => serving[Symbol.asyncDispose]());

  it.each(forgedModels(digitModel("1.1.0-int8")))("$name", async ({ name, code, bytes }) => {
    const id = `f${name.length}-${bytes.length}`;
    const answer = await serving.ask(serving.toLoad(id, bytes, { slot: "forged", model: "forged" }));
    expect(answer).toMatchObject({ ok: false, error: { code } });
    expect(await isServing(serving)).toBe(true);
  });
});

describe("a device that narrows its operators", () => {
  const policy = { allowDomains: ["ai.onnx"], denyOperators: ["Loop"] };
  it.each<[string, Uint8Array, RegExp]>([
    [
      "a domain that it does not allow",
      toModel({ nodes: [gelu] }, { opsets: half }),
      /com\.microsoft are not allowed here/u,
    ],
    ["an operator that it denies", endlessLoopModel({ trips: 2n }), /^Loop is not allowed here; .*node 0 \(Loop\)$/u],
  ])("refuses %s when a model is loaded, whoever signed it", async (_, bytes, reason) => {
    await using serving = new ServingHarness({ models: policy });
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    const answer = await serving.ask(serving.toLoad("narrow", bytes, { slot: "forged", model: "forged" }));
    expect(answer).toMatchObject({
      ok: false,
      error: { code: "unknown_operator", message: expect.stringMatching(reason) },
    });
    expect(await isServing(serving)).toBe(true);
    await using open = new ServingHarness();
    await open.must(open.toLoad("wide", bytes, { slot: "forged", model: "forged" }));
  });

  it("does not start with a policy that it cannot read", () => {
    const address = { kind: "tcp", host: "127.0.0.1", port: 0 };
    for (const models of [{ allowDomains: "ai.onnx", denyOperators: [] }, { allowDomains: [] }, null, "none"])
      expect(() => parseServingConfig(JSON.stringify({ address, inflightPath: "i", models }))).toThrow(/policy/u);
  });
});

describe("a good file under another release", () => {
  it("A5 has other tensors than were signed: it is not loaded, and the neighbour goes on", async () => {
    await using serving = new ServingHarness();
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    const tensor = (name: string, elementType = "float32") => ({ name, elementType });
    const bytes = mlpModel({ widths: [4, 3] });
    const toLoad = (loadId: string, output: string) =>
      serving.toLoad(loadId, bytes, {
        ...{ slot: "other", model: "other" },
        tensors: { inputs: [tensor("x")], outputs: [tensor(output)] },
      });
    expect(await serving.ask(toLoad("other", "z"))).toMatchObject({ ok: false, error: { code: "contract_mismatch" } });
    expect(await isServing(serving)).toBe(true);
    const { outputs } = await serving.must(serving.toLoad("plain", bytes, { slot: "plain", model: "plain" }));
    await serving.must(toLoad("own", outputs[0]?.name ?? ""));
  });
});

describe("a good control", () => {
  it.each(["1.0.0-fp32", "1.1.0-int8"])("is admitted beside the forged ones, loaded and answers: %s", async (name) => {
    await using serving = new ServingHarness();
    await serving.serve(serving.toLoad("control", digitModel(name)));
    expect(await isServing(serving)).toBe(true);
  });
});

describe("a forged model that only a run can show", () => {
  const forged = { slot: "forged", model: "forged" };
  const toBody = (datatype: string, shape: readonly number[], data: readonly unknown[]) =>
    JSON.stringify({ inputs: [{ name: "x", datatype, shape, data }] });
  const infer = (serving: ServingHarness, body: string) => serving.http({ path: "/v2/models/forged/infer", body });

  it("A18 expands to 64 GiB by a size that it works out: the run fails with a reason, and the neighbour goes on", async () => {
    await using serving = new ServingHarness();
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    await serving.serve(serving.toLoad("expands", expandingModel(2n ** 34n), forged));
    const answer = await infer(serving, toBody("FP32", [1], [1]));
    expect(answer.status).toBe(500);
    expect(json(answer.bytes)).toMatchObject({ error: expect.stringMatching(/\w{3}/u) });
    const { loads } = await serving.must({ kind: "collect" });
    expect(loads.find(({ loadId }) => loadId === "expands")).toMatchObject({ errors: { runtime: 1 } });
    expect(await isServing(serving)).toBe(true);
  });

  it("A18 asks for 64 GiB: the run fails with a reason, and the neighbour goes on", async () => {
    await using serving = new ServingHarness();
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    await serving.serve(serving.toLoad("hungry", hungryModel(2n ** 34n), forged));
    const answer = await infer(serving, toBody("FP32", [1], [1]));
    expect(answer.status).toBe(500);
    expect(json(answer.bytes)).toMatchObject({ error: expect.any(String) });
    expect(await isServing(serving)).toBe(true);
  });

  it.each([
    ["a constant", hungryModel(2n ** 30n)],
    ["an Expand", expandingModel(2n ** 30n)],
  ])(
    "A18 fills 4 GiB by %s: the process ends at its memory limit, and the in-flight file names the model",
    async (_, bytes) => {
      await using first = new ServingHarness();
      await first.event("ready");
      const { rssBytes } = await first.must({ kind: "ping" });
      await using serving = new ServingHarness({ memoryLimitBytes: rssBytes + 300 * 1_048_576 });
      await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
      await serving.serve(serving.toLoad("hungry", bytes, forged));
      expect(await isServing(serving)).toBe(true);
      await expect(infer(serving, toBody("FP32", [1], [1]))).rejects.toThrow(/socket hang up|ECONNRESET/u);
      expect(await serving.exited).toBe("SIGKILL");
      const exceeded = await serving.event("memory-exceeded");
      expect(exceeded.rssBytes).toBeGreaterThan(exceeded.limitBytes);
      expect(exceeded.rssBytes).toBeLessThan(exceeded.limitBytes + 2 * 1_073_741_824);
      expect(readInflightLoads(serving.inflightPath).map(({ loadId }) => loadId)).toEqual(["hungry"]);
    },
  );

  it("A18 fills 1 GiB, the most that the static check lets through, while it is loaded: the process ends at its memory limit, and the in-flight file names the load", async () => {
    await using first = new ServingHarness();
    await first.event("ready");
    const { rssBytes } = await first.must({ kind: "ping" });
    await using serving = new ServingHarness({ memoryLimitBytes: rssBytes + 300 * 1_048_576 });
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    expect(await isServing(serving)).toBe(true);
    // Nobody answers it any more: the supervisor's own limit, or the end of the process, does.
    void serving.ask(serving.toLoad("hungry", hungryLoadModel(2n ** 28n), forged));
    expect(await serving.exited).toBe("SIGKILL");
    const exceeded = await serving.event("memory-exceeded");
    expect(exceeded.rssBytes).toBeGreaterThan(exceeded.limitBytes);
    expect(exceeded.rssBytes).toBeLessThan(exceeded.limitBytes + 2 * 1_073_741_824);
    expect(readInflightLoads(serving.inflightPath)).toEqual([{ loadId: "hungry", activity: "loading" }]);
  });

  it("A19 loops for ever where its condition decides: the deadline passes and names it", async () => {
    await using serving = new ServingHarness();
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    await serving.serve(serving.toLoad("endless", endlessLoopModel(), { ...forged, deadlineMs: 500 }));
    expect(await isServing(serving)).toBe(true);
    const asked = infer(serving, toBody("FP32", [4], [1, 2, 3, 4]));
    // While it loops the neighbour answers, one question after the other.
    let answered = 0;
    let isOver = false;
    void asked.finally(() => (isOver = true));
    while (!isOver && answered < 20_000) {
      expect(await isServing(serving)).toBe(true);
      answered += 1;
    }
    expect(answered).toBeGreaterThan(1);
    expect((await asked).status).toBe(504);
    expect(await serving.event("hung")).toMatchObject({ loadId: "endless", model: "forged" });
    const { loads } = await serving.must({ kind: "collect" });
    expect(loads.find(({ loadId }) => loadId === "endless")).toMatchObject({ errors: { deadline: 1 } });
    // Until the supervisor ends the process, the neighbour answers from its own thread.
    expect(await isServing(serving)).toBe(true);
  });

  it("A21 twenty thousand nodes and a graph in a circle: the one loads in time, the other is refused with a reason", async () => {
    await using serving = new ServingHarness();
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    const chain = Array.from({ length: 20_000 }, (_, at) => ({
      op: "Relu",
      inputs: [at === 0 ? "x" : `n${at}`],
      outputs: [at === 19_999 ? "y" : `n${at + 1}`],
    }));
    expect(await serving.ask(serving.toLoad("long", toModel({ nodes: chain }), forged))).toMatchObject({ ok: true });
    const circle = [
      { op: "Add", inputs: ["x", "b"], outputs: ["a"] },
      { op: "Relu", inputs: ["a"], outputs: ["b"] },
      { op: "Relu", inputs: ["b"], outputs: ["y"] },
    ];
    const answer = await serving.ask(serving.toLoad("circle", toModel({ nodes: circle }), forged));
    expect(answer).toMatchObject({ ok: false, error: { code: "model_load_failed" } });
    expect(await isServing(serving)).toBe(true);
  }, 20_000);

  it.each(["symbolic", "hard"] as const)(
    "A14 never follows a %s link beside the model to a secret outside",
    async (location) => {
      await using serving = new ServingHarness();
      await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
      await using outside = new ServingHarness();
      const secret = join(outside.folder, "secret");
      // Long enough to be the weights that the model names: only the check keeps the runtime from reading it.
      writeFileSync(secret, Buffer.alloc(4 * 2 * 4, 0x3f));
      const link = join(serving.folder, location);
      if (location === "symbolic") symlinkSync(secret, link);
      else linkSync(secret, link);
      expect(statSync(link).ino).toBe(statSync(secret).ino);
      const load = serving.toLoad(location, externalDataModel(location), forged);
      expect(dirname(load.path)).toBe(serving.folder);
      expect(await serving.ask(load)).toMatchObject({
        ok: false,
        error: { code: "external_data_refused", message: expect.stringContaining(location) },
      });
      expect(await isServing(serving)).toBe(true);
    },
  );

  it("A22 carries megabytes of metadata and names with control characters and HTML: none of it reaches an answer as it is", async () => {
    await using serving = new ServingHarness();
    const escape = "\u001b]0;owned\u0007";
    const metadata = { "k\u0000<script>": `${escape}${"A".repeat(3_000_000)}` };
    const name = `<img src=x onerror=alert(1)>${escape}`;
    const named = {
      nodes: [{ ...relu, inputs: [name] }],
      inputs: [{ ...x, name }],
    };
    await serving.serve(serving.toLoad("loud", toModel(named, { metadata }), forged));
    for (const path of ["/v2/models/forged", "/v2/models/forged/config", "/v2/models/forged/stats"]) {
      const answer = await serving.http({ path });
      expect(answer.bytes.length, path).toBeLessThan(2_000);
      // Nothing that a terminal would obey; what a browser would obey is JSON by its type.
      expect(answer.bytes.toString(), path).not.toMatch(/[^\P{Cc}\t\n]/u);
      expect(answer.headers["content-type"], path).toMatch(/^application\/json/u);
      expect(answer.bytes.toString(), path).not.toContain("AAAA");
    }
    const inputs = [{ name: `${name}?`, datatype: "FP32", shape: [4], data: [1, 1, 1, 1] }];
    const refused = await serving.http({ path: "/v2/models/forged/infer", body: JSON.stringify({ inputs }) });
    expect(refused.status).toBe(400);
    expect(refused.bytes.toString()).not.toMatch(/[^\P{Cc}\t\n]/u);
    await using second = new ServingHarness();
    const broken = toModel({ nodes: [{ ...relu, op: `${name}` }] });
    const answer = await second.ask(second.toLoad("broken", broken, forged));
    // What goes to the agent's log and the plane.
    expect(answer).toMatchObject({ ok: false, error: { code: "unknown_operator" } });
    expect(JSON.stringify(answer).length).toBeLessThan(2_000);
    expect(answer.ok ? "" : answer.error.message).not.toMatch(/\p{Cc}/u);
  });

  it.each<[string, number[], string[]]>([
    ["another length", [7], ["rows"]],
    ["another rank", [2, 2], ["rows", "columns"]],
  ])("A23 answers %s than it states: named, counted, and the neighbour goes on", async (_, stated, free) => {
    await using serving = new ServingHarness();
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    const edges = { inputs: [{ ...x, shape: free }], outputs: [{ ...y, shape: stated }] };
    await serving.serve(serving.toLoad("shape", toModel(edges), forged));
    const shape = free.map(() => 4);
    const data = Array.from({ length: 4 ** shape.length }, () => 1);
    const answer = await infer(serving, toBody("FP32", shape, data));
    expect(answer.status).toBe(500);
    expect(json(answer.bytes)).toEqual({
      error: `output 'y' of model 'forged' has the shape [${shape.join(",")}], but the model states [${stated.join(",")}]`,
    });
    const { loads } = await serving.must({ kind: "collect" });
    expect(loads.find(({ loadId }) => loadId === "shape")).toMatchObject({ errors: { runtime: 1 } });
    expect(await isServing(serving)).toBe(true);
  });

  it("A23 answers not-a-number, and ten million values: counted, refused as JSON, and the neighbour goes on", async () => {
    await using serving = new ServingHarness();
    await serving.serve(serving.toLoad("good", digitModel("1.1.0-int8")));
    await serving.serve(serving.toLoad("nan", squareRootModel(), forged));
    const answer = await infer(serving, toBody("FP32", [1, 4], [-1, 1, 1, 1]));
    expect(answer.status).toBe(500);
    const { loads } = await serving.must({ kind: "collect" });
    expect(loads.find(({ loadId }) => loadId === "nan")).toMatchObject({ nanCount: 1, errors: { runtime: 1 } });
    await serving.serve(serving.toLoad("wide", mlpModel({ widths: [4, 100_000] }), { slot: "wide", model: "wide" }));
    const rows = Array.from({ length: 100 * 4 }, () => 0.5);
    const inputs = [{ name: "x", datatype: "FP32", shape: [100, 4], data: rows }];
    const wide = await serving.http({
      path: "/v2/models/wide/infer",
      body: JSON.stringify({ inputs, parameters: { binary_data_output: true } }),
    });
    expect(wide.status).toBe(200);
    expect(wide.bytes.length).toBeGreaterThan(40_000_000);
    expect(await isServing(serving)).toBe(true);
    // As JSON they would be half a gigabyte of text, made on the thread that reads the neighbour's requests.
    const text = await serving.http({ path: "/v2/models/wide/infer", body: JSON.stringify({ inputs }) });
    expect(text.status).toBe(413);
    expect(json(text.bytes)).toMatchObject({ error: expect.stringContaining("10000000 values") });
    const after = (await serving.must({ kind: "collect" })).loads.find(({ loadId }) => loadId === "wide");
    expect(after?.errors).toEqual({ input: 1 });
    expect(await isServing(serving)).toBe(true);
  });
});
