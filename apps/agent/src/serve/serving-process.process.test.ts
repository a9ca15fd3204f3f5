import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readInflightLoads } from "./inflight.ts";
import {
  buildOnnxModel,
  endlessLoopModel,
  externalDataModel,
  mlpModel,
  squareRootModel,
} from "@fairlead/inference/testing";
import { digitModel, json, readDigits, ServingHarness } from "./testing/serving-harness.ts";

const digits = readDigits();
const image = (rows: number) => ({
  name: "image",
  datatype: "FP32",
  shape: [rows, 1, 8, 8],
  data: digits.slice(0, rows).flatMap((digit) => digit.pixels),
});
const inferPath = "/v2/models/digit-reader/infer";
const inferBody = (rows = 1) => JSON.stringify({ id: "a", inputs: [image(rows)] });
const classification = { output: "probabilities", labels: Array.from("0123456789") };
const good = "1.1.0-int8";

function toBinary(rows: number): { body: Buffer; headers: Record<string, string> } {
  const { data, ...head } = image(rows);
  const parameters = { binary_data_size: data.length * 4 };
  const request = { inputs: [{ ...head, parameters }], parameters: { binary_data_output: true } };
  const text = Buffer.from(JSON.stringify(request));
  const body = Buffer.concat([text, Buffer.from(Float32Array.from(data).buffer)]);
  return { body, headers: { "Inference-Header-Content-Length": String(text.length) } };
}

describe("the serving process", { timeout: 20_000 }, () => {
  it("takes priority, timeout and client from a request, and refuses what is none", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(harness.toLoad("a", digitModel(good), { classification }));
    const ask = (parameters: object, headers = {}) =>
      harness.http({ path: inferPath, body: JSON.stringify({ inputs: [image(1)], parameters }), headers });
    for (const parameters of [{ priority: "batch" }, { priority: 7 }, { priority: 0, timeout: 500_000 }])
      expect((await ask(parameters, { "X-Fairlead-Client": "camera-1" })).status).toBe(200);
    for (const parameters of [{ priority: "first" }, { priority: -1 }, { timeout: -5 }, { timeout: "soon" }]) {
      const answer = await ask(parameters);
      expect(answer.status).toBe(400);
      expect((json(answer.bytes) as { error: string }).error).toMatch(/parameter '(?:priority|timeout)'/u);
    }
    expect((await ask({}, { "X-Fairlead-Client": "a b" })).status).toBe(400);
  });

  it("reads digits by JSON and by binary tensors, plain and compressed, with equal results", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(harness.toLoad("a", digitModel(good), { classification }));
    const plain = await harness.http({ path: inferPath, body: inferBody(500) });
    expect(plain.status).toBe(200);
    const answer = json(plain.bytes) as { id: string; outputs: { data: number[]; shape: number[] }[] };
    expect(answer).toMatchObject({ id: "a", model_name: "digit-reader", model_version: "1.0.0" });
    const probabilities = answer.outputs[0]!.data;
    expect(answer.outputs[0]!.shape).toEqual([500, 10]);
    const right = digits.filter(({ label }, row) => {
      const scores = probabilities.slice(row * 10, row * 10 + 10);
      return scores.indexOf(Math.max(...scores)) === label;
    });
    expect(right.length / 500).toBeGreaterThan(0.96);

    for (const [encoding, pack] of [
      ["identity", (bytes: Buffer) => bytes],
      ["gzip", (bytes: Buffer) => gzipSync(bytes)],
      ["deflate", (bytes: Buffer) => deflateSync(bytes)],
    ] as const) {
      const { body, headers } = toBinary(500);
      const binary = await harness.http({
        path: "/v2/models/digit-reader/versions/1.0.0/infer",
        body: pack(body),
        headers: encoding === "identity" ? headers : { ...headers, "Content-Encoding": encoding },
      });
      expect(binary.status).toBe(200);
      const jsonBytes = Number(binary.headers["inference-header-content-length"]);
      const raw = Uint8Array.from(binary.bytes.subarray(jsonBytes)).buffer;
      expect(Array.from(new Float32Array(raw), (value) => value)).toEqual(probabilities);
    }
    const { loads } = await harness.must({ kind: "collect" });
    expect(loads).toHaveLength(1);
    expect(loads[0]).toMatchObject({
      loadId: "a",
      slot: "reader",
      model: "digit-reader",
      requests: 4,
      errors: {},
      nanCount: 0,
    });
    expect(loads[0]!.confidence!.bins.reduce((sum, count) => sum + count)).toBe(2_000);
    expect(loads[0]!.confidence!.sum / 2_000).toBeGreaterThan(0.9);
    expect(Object.keys(loads[0]!.classCounts!)).toHaveLength(10);
    expect(loads[0]!.busyUs).toBeGreaterThan(0);
    expect((await harness.must({ kind: "collect" })).loads[0]).toMatchObject({ requests: 0 });
  });

  it("switches builds under load without dropping a request", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(harness.toLoad("v0", digitModel("1.0.0-int8"), { version: "1.0.0" }));
    let stopped = false;
    const versions = new Set<string>();
    let answered = 0;
    const client = async () => {
      while (!stopped) {
        const { status, bytes } = await harness.http({ path: inferPath, body: inferBody() });
        expect(status, bytes.toString()).toBe(200);
        versions.add((json(bytes) as { model_version: string }).model_version);
        answered += 1;
      }
    };
    const clients = Array.from({ length: 8 }, client);
    for (let round = 1; round <= 8; round += 1) {
      const name = round % 2 === 1 ? good : "1.0.0-int8";
      const version = `1.${round}.0`;
      await harness.must(harness.toLoad(`v${round}`, digitModel(name), { version }));
      const { previousLoadId } = await harness.must({ kind: "activate", slot: "reader", loadId: `v${round}` });
      expect(previousLoadId).toBe(`v${round - 1}`);
      await harness.must({ kind: "unload", loadId: `v${round - 1}` });
    }
    stopped = true;
    await Promise.all(clients);
    expect(versions.size).toBeGreaterThan(4);
    expect(answered).toBeGreaterThan(100);
    expect(await harness.must({ kind: "ping" })).toMatchObject({ loads: 1, inflight: 0 });
  });

  it("refuses files that are not what was verified, and models that break the rules", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    const load = harness.toLoad("a", digitModel(good));
    const codeOf = async (request: typeof load) => {
      const response = await harness.ask(request);
      return response.ok ? "ok" : response.error.code;
    };
    expect(await codeOf({ ...load, digest: `sha256:${"0".repeat(64)}` })).toBe("digest_mismatch");
    expect(await codeOf({ ...load, sizeBytes: load.sizeBytes - 1 })).toBe("length_mismatch");
    expect(await codeOf({ ...load, sizeBytes: load.sizeBytes + 1 })).toBe("length_mismatch");
    expect(await codeOf({ ...load, path: join(harness.folder, "absent") })).toBe("file_unreadable");
    expect(await codeOf({ ...load, classification: { output: "nothing", labels: [] } })).toBe("output_unknown");
    expect(await codeOf({ ...load, providers: ["qnn", "cpu"] })).toBe("provider_unknown");
    expect(await codeOf(harness.toLoad("b", externalDataModel("../secret")))).toBe("external_data_refused");
    expect(await codeOf(harness.toLoad("c", Buffer.from("no model")))).toBe("not_onnx");
    expect(await codeOf(load)).toBe("ok");
    expect(await codeOf(load)).toBe("load_exists");
    const other = await harness.ask({ kind: "activate", slot: "other", loadId: "a" });
    expect(other).toMatchObject({ ok: false, error: { code: "slot_mismatch" } });
    expect(readInflightLoads(harness.inflightPath)).toEqual([]);
  });

  it("tells that a run hangs, and the in-flight file names it after the kill", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(harness.toLoad("good", digitModel(good)));
    const endless = { slot: "spin", model: "spinner", deadlineMs: 200 };
    await harness.serve(harness.toLoad("endless", endlessLoopModel(), endless));
    const body = JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [4], data: [1, 2, 3, 4] }] });
    const { status } = await harness.http({ path: "/v2/models/spinner/infer", body });
    expect(status).toBe(504);
    expect(await harness.event("hung")).toMatchObject({ loadId: "endless", slot: "spin", model: "spinner" });
    expect((await harness.http({ path: "/v2/models/spinner/infer", body })).status).toBe(503);
    expect((await harness.http({ path: "/v2/health/ready" })).status).toBe(503);
    expect((await harness.http({ path: "/v2/health/live" })).status).toBe(200);
    expect((await harness.http({ path: inferPath, body: inferBody() })).status).toBe(200);
    // The mark of a run is taken back a turn after its answer; a word that comes later is answered after that turn.
    await harness.must({ kind: "ping" });
    harness.child.kill("SIGKILL");
    await harness.exited;
    expect(readInflightLoads(harness.inflightPath)).toEqual([{ loadId: "endless", activity: "running" }]);
  });

  it("answers wrong requests in the protocol's words and goes on", async () => {
    await using harness = new ServingHarness({ maxBodyBytes: 100_000 });
    await harness.event("ready");
    await harness.serve(harness.toLoad("a", digitModel(good)));
    const input = image(1);
    const wrong = async (inputs: unknown, path = inferPath) => {
      const { status, bytes } = await harness.http({ path, body: JSON.stringify({ inputs }) });
      return [status, (json(bytes) as { error: string }).error] as const;
    };
    expect(await wrong([input], "/v2/models/nope/infer")).toEqual([
      404,
      "Request for unknown model: 'nope' is not found",
    ]);
    expect((await wrong([input], "/v2/models/digit-reader/versions/9/infer"))[0]).toBe(404);
    const double = await wrong([{ ...input, datatype: "FP64" }]);
    expect(double).toEqual([
      400,
      "inference input 'image' data-type is 'FP64', but model 'digit-reader' expects 'FP32'",
    ]);
    expect((await wrong([{ ...input, shape: [1, 64] }]))[1]).toContain("Expected [-1,1,8,8], got [1,64]");
    expect((await wrong([{ ...input, shape: [2, 1, 8, 8] }]))[0]).toBe(400);
    expect((await wrong([]))[1]).toBe("expected 1 inputs but got 0 inputs for model 'digit-reader'");
    expect((await wrong("x"))[0]).toBe(400);
    const { body, headers } = toBinary(2);
    const post = async (changed: Partial<{ body: Buffer; headers: Record<string, string> }>) =>
      (await harness.http({ path: inferPath, body, headers, ...changed })).status;
    expect(await post({ body: body.subarray(0, -4) })).toBe(400);
    expect(await post({ headers: { "Inference-Header-Content-Length": "-1" } })).toBe(400);
    expect(await post({ headers: { ...headers, "Content-Encoding": "br" } })).toBe(415);
    expect(await post({ headers: { ...headers, "Content-Encoding": "gzip" } })).toBe(415);
    expect(await post({ body: Buffer.alloc(100_001) })).toBe(413);
    const bomb = gzipSync(Buffer.alloc(10_000_000));
    expect(await post({ body: bomb, headers: { "Content-Encoding": "gzip" } })).toBe(413);
    expect(await post({})).toBe(200);
    const { loads } = await harness.must({ kind: "collect" });
    expect(loads[0]).toMatchObject({ requests: 7, errors: { input: 6 } });
  });

  it("describes server, model and statistics, and refuses installation by clients", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.serve(harness.toLoad("a", digitModel(good)));
    await harness.http({ path: inferPath, body: inferBody(3) });
    const get = async (path: string) => json((await harness.http({ path })).bytes);
    expect(await get("/v2")).toMatchObject({ name: "fairlead", extensions: expect.arrayContaining(["statistics"]) });
    expect(await get("/v2/models/digit-reader")).toEqual({
      name: "digit-reader",
      versions: ["1.0.0"],
      platform: "onnx_onnxv1",
      inputs: [{ name: "image", datatype: "FP32", shape: [-1, 1, 8, 8] }],
      outputs: [{ name: "probabilities", datatype: "FP32", shape: [-1, 10] }],
    });
    expect(await get("/v2/models/digit-reader/config")).toMatchObject({ max_batch_size: 0 });
    expect(await get("/v2/models/digit-reader/versions/1.0.0/stats")).toMatchObject({
      model_stats: [{ inference_count: 1, execution_count: 1, inference_stats: { success: { count: 1 } } }],
    });
    const index = await harness.http({ path: "/v2/repository/index", body: "{}" });
    expect(json(index.bytes)).toEqual([{ name: "digit-reader", version: "1.0.0", state: "READY", reason: "" }]);
    for (const verb of ["load", "unload"]) {
      const path = `/v2/repository/models/digit-reader/${verb}`;
      expect((await harness.http({ path, body: "{}" })).status).toBe(403);
    }
    expect((await harness.http({ path: inferPath })).status).toBe(405);
    expect((await harness.http({ path: "/metrics" })).status).toBe(404);

    await harness.must({ kind: "stop-serving", slot: "reader", reason: "quarantined: integrity failed" });
    const refused = await harness.http({ path: inferPath, body: inferBody() });
    expect(refused.status).toBe(503);
    expect(refused.bytes.toString()).toContain("quarantined: integrity failed");
    expect((await harness.http({ path: "/v2/models/digit-reader/ready" })).status).toBe(503);
    await harness.must({ kind: "activate", slot: "reader", loadId: "a" });
    expect((await harness.http({ path: inferPath, body: inferBody() })).status).toBe(200);
    const unload = await harness.ask({ kind: "unload", loadId: "a" });
    expect(unload).toMatchObject({ ok: false, error: { code: "load_active" } });
  });

  it("tests a build against golden outputs before it serves", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    await harness.must(harness.toLoad("good", mlpModel({ widths: [4, 8, 2], softmax: false })));
    await harness.must(harness.toLoad("root", squareRootModel()));
    const x = { datatype: "FP32", shape: [1, 4], data: [0, 0, 0, 0] };
    const toGolden = (name: string, y: object, input: object = x) =>
      harness.write(
        name,
        Buffer.from(
          JSON.stringify({
            v: 1,
            cases: [{ name: "zero", inputs: { x: input }, outputs: { y }, toleranceAbs: 1e-6, toleranceRel: 0 }],
          }),
        ),
      );
    const test = (loadId: string, golden: ReturnType<typeof toGolden>, latencyP95Ms: number | null = null) =>
      harness.must({ kind: "self-test", loadId, golden, limits: { latencyP95Ms }, repeats: 20 });
    const right = toGolden("right", { datatype: "FP32", shape: [1, 2], data: [0, 0] });
    const passed = await test("good", right, 1_000);
    expect(passed).toMatchObject({
      passed: true,
      cases: [{ name: "zero", passed: true, reason: null, maxAbsError: 0 }],
    });
    expect(passed.latencyUs!.p50).toBeLessThanOrEqual(passed.latencyUs!.p99);
    expect(await test("good", right, 1e-9)).toMatchObject({ passed: false, reason: expect.stringContaining("over") });
    const off = toGolden("off", { datatype: "FP32", shape: [1, 2], data: [0, 0.5] });
    expect(await test("good", off)).toMatchObject({ passed: false, cases: [{ passed: false, maxAbsError: 0.5 }] });
    const shape = toGolden("shape", { datatype: "FP32", shape: [2], data: [0, 0] });
    expect(await test("good", shape)).toMatchObject({ passed: false, cases: [{ maxAbsError: null }] });
    const nan = toGolden("nan", { ...x }, { ...x, data: [-1, 0, 0, 0] });
    expect(await test("root", nan)).toMatchObject({ passed: false, cases: [{ passed: false, maxAbsError: null }] });
    await harness.must({ kind: "activate", slot: "reader", loadId: "root" });
    const negative = JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: [-1, 0, 4, 9] }] });
    expect((await harness.http({ path: inferPath, body: negative })).status).toBe(500);
    const { loads } = await harness.must({ kind: "collect" });
    expect(loads[0]).toMatchObject({ errors: { runtime: 1 }, nanCount: 1, outputMin: 0, outputMax: 3 });
    const bad = await harness.ask({
      kind: "self-test",
      loadId: "good",
      golden: { ...right, digest: off.digest },
      limits: { latencyP95Ms: null },
      repeats: 1,
    });
    expect(bad).toMatchObject({ ok: false, error: { code: "digest_mismatch" } });
  });

  it("loads the bytes that it checked, even when the file changes right after", async () => {
    await using harness = new ServingHarness();
    await harness.event("ready");
    const load = harness.toLoad("a", digitModel(good));
    const loaded = harness.must(load);
    const fd = openSync(load.path, "r+");
    const response = await loaded;
    writeSync(fd, Buffer.alloc(load.sizeBytes), 0, load.sizeBytes, 0);
    closeSync(fd);
    expect(response.outputs[0]?.name).toBe("probabilities");
    await harness.must({ kind: "activate", slot: "reader", loadId: "a" });
    expect((await harness.http({ path: inferPath, body: inferBody() })).status).toBe(200);
  });

  it("carries every datatype that the runtime has, and refuses more than its queue holds", async () => {
    await using harness = new ServingHarness({ maxQueue: 2 });
    await harness.event("ready");
    for (const [type, datatype, data] of [
      ["float16", "FP16", [1.5, -2]],
      ["float64", "FP64", [1.5, -2]],
      ["int64", "INT64", [7, -2]],
      ["uint8", "UINT8", [7, 255]],
      ["bool", "BOOL", [true, false]],
    ] as const) {
      const edge = { type, shape: [2] };
      const graph = {
        nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
        inputs: [{ name: "x", ...edge }],
        outputs: [{ name: "y", ...edge }],
      };
      const names = { slot: type, model: type };
      await harness.serve(harness.toLoad(type, buildOnnxModel({ graph }), names));
      const body = JSON.stringify({ inputs: [{ name: "x", datatype, shape: [2], data }] });
      const { bytes } = await harness.http({ path: `/v2/models/${type}/infer`, body });
      expect(json(bytes)).toMatchObject({ outputs: [{ name: "y", datatype, shape: [2], data }] });
    }
    const slow = endlessLoopModel({ trips: 200_000n });
    await harness.serve(harness.toLoad("slow", slow, { slot: "slow", model: "slow", deadlineMs: 20_000 }));
    const body = JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [4], data: [0, 0, 0, 0] }] });
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => harness.http({ path: "/v2/models/slow/infer", body })),
    );
    const statuses = answers.map((answer) => answer.status);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(2);
    expect(statuses).toContain(503);
  });

  it("serves on a Unix socket, drains at shutdown and leaves when its parent does", async () => {
    await using first = new ServingHarness();
    const socketPath = join(first.folder, "serve.sock");
    await first.event("ready");
    await using second = new ServingHarness({ address: { kind: "unix", socketPath } });
    await second.event("ready");
    await second.serve(second.toLoad("a", digitModel(good)));
    const running = second.http({ path: inferPath, body: inferBody(500) });
    expect((await running).status).toBe(200);
    await second.must({ kind: "shutdown", drainMs: 1_000 });
    expect(await second.exited).toBe("exit 0");
    first.child.disconnect();
    expect(await first.exited).toBe("exit 0");
  });

  it("refuses to listen beyond the device", async () => {
    await using harness = new ServingHarness({ address: { kind: "tcp", host: "0.0.0.0", port: 0 } });
    expect(await harness.exited).toBe("exit 1");
  });
});
