import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { LoadedModel } from "../port.ts";
import type { OpenInferenceRuntimeOptions } from "./open-inference-runtime.ts";
import type { Tensor } from "../tensor.ts";
import {
  doublingModel,
  endlessLoopModel,
  identityOf,
  reshapeModel,
  squareRootModel,
} from "../testing/example-models.ts";
import { describeRuntimeContract } from "../testing/runtime.contract.ts";
import { TestSidecar } from "../testing/sidecar-server.ts";

const slowModel = () => endlessLoopModel({ trips: 800_000n, shape: ["batch", 4] });
const failingModel = () => reshapeModel(7n);

const opened: TestSidecar[] = [];
function open(...given: ConstructorParameters<typeof TestSidecar>): TestSidecar {
  const sidecar = new TestSidecar(...given);
  opened.push(sidecar);
  return sidecar;
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sidecar) => sidecar[Symbol.asyncDispose]()));
});

const models = { doublingModel, slowModel, failingModel, identityModel: identityOf, recovers: true };

describeRuntimeContract("open-inference", { ...models, createRuntime: () => open().runtime });

describeRuntimeContract("open-inference on a server without binary tensors", {
  ...models,
  createRuntime: () => open(["--no-binary"]).runtime,
  refusedDatatypes: ["BF16"],
});

/** As OpenVINO Model Server is asked: it takes binary tensors and does not say so. */
const openConfigured = (options: Partial<OpenInferenceRuntimeOptions> = {}) =>
  open(["--config", "{config}"], { control: "config-file", tensors: "binary", ...options });

describeRuntimeContract("open-inference on a server that reads a list of models", {
  ...models,
  createRuntime: () => openConfigured().runtime,
  refusedDatatypes: ["BF16"],
  // What it cannot load is never ready.
  loadDeadlineMs: 3_000,
  proves: false,
});

const x = (values: number[]): Tensor => ({
  name: "x",
  datatype: "FP32",
  shape: [values.length / 4, 4],
  data: Float32Array.from(values),
});
const code = (expected: string, message = "") =>
  expect.objectContaining({ code: expected, message: expect.stringContaining(message) as unknown });
const double = async (model: LoadedModel, deadlineMs = 2_000) => {
  const { outputs } = await model.infer([x([1, 2, 3, 4])], { deadlineMs });
  return [...(outputs[0]?.data ?? [])];
};

async function until(what: string, ask: () => boolean | Promise<boolean>, timeoutMs = 4_000): Promise<number> {
  const startedMs = performance.now();
  while (!(await ask())) {
    if (performance.now() - startedMs > timeoutMs) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - startedMs;
}
const answers = (model: LoadedModel) => async () => (await double(model).catch(() => [])).join(",") === "2,4,6,8";

describe("a server that answers wrongly", () => {
  it("gives a clear error for each wrong answer and the right result after it", async () => {
    const sidecar = open([], { maxAnswerBytes: 1_048_576 });
    const model = await sidecar.runtime.load(doublingModel());
    const { pid } = sidecar.runtime;
    for (const [fault, message] of [
      ["garbage", "it is no JSON"],
      ["not-http", "the answer is no HTTP"],
      ["huge-headers", "the answer is no HTTP"],
      ["wrong-length", "binary_data_size of 20, its shape needs 16"],
      ["wrong-type", `is "INT32", the model says 'FP32'`],
      ["wrong-shape", "has the shape [1,2,3], the model says [-1,4]"],
      ["product-overflow", "more than 2147483647 elements"],
      ["header-overflow", "Inference-Header-Content-Length is no count"],
      ["header-long", "the answer has"],
      ["extra-output", "it has 2 outputs, the model has 1"],
      ["missing-output", "it has 0 outputs, the model has 1"],
      ["other-id", "it answers another request"],
      ["endless", "longer than 1048576 bytes"],
      ["error", "status 500: the device has fallen off the bus"],
    ] as const) {
      sidecar.setFault(fault);
      await expect(double(model), fault).rejects.toThrow(code("inference_failed", message));
      sidecar.setFault("");
      await expect(double(model), `after ${fault}`).resolves.toEqual([2, 4, 6, 8]);
    }
    expect(sidecar.runtime.pid).toBe(pid);
  });

  it("calls an answer that breaks off a crash, and takes an answer in JSON", async () => {
    const sidecar = open();
    const model = await sidecar.runtime.load(doublingModel());
    sidecar.setFault("cut-short");
    await expect(double(model)).rejects.toThrow(code("runtime_crashed", "inside the answer"));
    sidecar.setFault("json");
    await expect(double(model)).resolves.toEqual([2, 4, 6, 8]);
  });

  it("takes not-a-number for the value that it is", async () => {
    const model = await open().runtime.load(squareRootModel());
    const { outputs } = await model.infer([x([-1, 4, 9, 0])], { deadlineMs: 2_000 });
    expect([...(outputs[0]?.data ?? [])]).toEqual([Number.NaN, 2, 3, 0]);
  });

  it("is asked in JSON where it does not say that it takes binary tensors, and refused what JSON does not have", async () => {
    const model = await open(["--no-binary"]).runtime.load(doublingModel());
    const ask = (tensor: Tensor) => model.infer([tensor], { deadlineMs: 2_000 });
    await expect(ask(x([1, 2, 3, Number.NaN]))).rejects.toThrow(
      code("input_invalid", "input 'x' holds values that JSON cannot carry"),
    );
    await expect(ask(x(Array.from({ length: 1_048_580 }, () => 1)))).rejects.toThrow(
      code("input_invalid", "1048580 values"),
    );
    await expect(double(model)).resolves.toEqual([2, 4, 6, 8]);
  });

  it("gets what the device's configuration says, whatever its metadata says", async () => {
    const stubborn = await open(["--no-binary"], { tensors: "binary" }).runtime.load(doublingModel());
    await expect(double(stubborn)).rejects.toThrow(code("inference_failed", "there is no such extension here"));
    const plain = await open([], { tensors: "json" }).runtime.load(doublingModel());
    await expect(double(plain)).resolves.toEqual([2, 4, 6, 8]);
  });

  it.each(["never", "late:1500"])("gives up a run that is answered %s and goes on with a new server", async (fault) => {
    const sidecar = open();
    const [model, other] = await Promise.all([
      sidecar.runtime.load(doublingModel()),
      sidecar.runtime.load(squareRootModel()),
    ]);
    const { pid } = sidecar.runtime;
    sidecar.setFault(fault);
    await expect(double(model, 200)).rejects.toThrow(code("inference_deadline", "longer than 200 ms"));
    await expect(double(model)).rejects.toThrow(code("model_hung"));
    sidecar.setFault("");
    await until("the model answers again", answers(model));
    await until("the other model answers again", () =>
      other.infer([x([1, 4, 9, 0])], { deadlineMs: 2_000 }).then(
        () => true,
        () => false,
      ),
    );
    expect(sidecar.runtime.pid).not.toBe(pid);
    expect(sidecar.events).toContainEqual(
      expect.objectContaining({ kind: "down", reason: "a run took longer than 200 ms", restartInMs: 0 }),
    );
  });
});

describe("a server that loads wrongly", () => {
  it.each([
    ["load-fails", "model_load_failed", "no reason at all"],
    ["load-never", "model_load_failed", "no answer within"],
    ["load-crashes", "runtime_crashed", "ended while it loaded"],
    ["garbage-metadata", "model_load_failed", "no JSON"],
    ["other-metadata", "model_load_failed", "'x' is not among its inputs"],
    ["other-type", "model_load_failed", `'y' is "INT64", the file says FP32`],
  ])("says so (%s), leaves no file and loads the next model", async (fault, expected, message) => {
    const sidecar = open();
    const first = await sidecar.runtime.load(doublingModel());
    sidecar.setFault(fault);
    await expect(sidecar.runtime.load(squareRootModel(), { loadDeadlineMs: 600 })).rejects.toThrow(
      code(expected, message),
    );
    sidecar.setFault("");
    await until("the first model answers", answers(first));
    expect(readdirSync(join(sidecar.folder, "runtime/repository"))).toHaveLength(1);
    const next = await sidecar.runtime.load(squareRootModel());
    await next.close();
    expect(readdirSync(join(sidecar.folder, "runtime/repository"))).toHaveLength(1);
  });

  it("loads by waiting where the server looks at its folder itself", async () => {
    const model = await open(["--poll"], { control: "poll" }).runtime.load(doublingModel());
    await expect(double(model)).resolves.toEqual([2, 4, 6, 8]);
    await model.close();
  });

  it("lists its models in a file that is replaced as a whole, and takes each from it at the end", async () => {
    const sidecar = openConfigured({ providers: ["npu", "cpu"] });
    const path = join(sidecar.folder, "runtime/config.json");
    const readList = () => JSON.parse(readFileSync(path, "utf8")) as { model_config_list: { config: object }[] };
    const model = await sidecar.runtime.load(doublingModel(), { providers: ["cpu"], threads: 3 });
    const { mode, ino } = statSync(path);
    expect(mode & 0o777).toBe(0o600);
    const other = await sidecar.runtime.load(squareRootModel());
    expect(statSync(path).ino).not.toBe(ino);
    const folders = readdirSync(join(sidecar.folder, "runtime/repository"));
    const inFolder = (name: unknown) => join(sidecar.folder, "runtime/repository", String(name));
    const entries = readList().model_config_list.map(({ config }) => config);
    expect(entries).toEqual([
      {
        name: expect.stringMatching(/^fairlead-/u),
        base_path: inFolder(entries.map((entry) => Object(entry).name)[0]),
        model_version_policy: { specific: { versions: [1] } },
        target_device: "CPU",
        plugin_config: { INFERENCE_NUM_THREADS: 3, NUM_STREAMS: 1 },
      },
      expect.objectContaining({ target_device: "NPU" }),
    ]);
    expect(folders).toHaveLength(2);
    await expect(double(model)).resolves.toEqual([2, 4, 6, 8]);
    await model.close();
    expect(readList().model_config_list).toHaveLength(1);
    await other.close();
    expect(readList().model_config_list).toEqual([]);
    expect(readdirSync(join(sidecar.folder, "runtime/repository"))).toEqual([]);
  });

  it("is given no model of that list again whose file was changed while the server was gone", async () => {
    const sidecar = openConfigured();
    const [model, changed] = [
      await sidecar.runtime.load(doublingModel()),
      await sidecar.runtime.load(squareRootModel()),
    ];
    const repository = join(sidecar.folder, "runtime/repository");
    const right = Buffer.from(squareRootModel());
    for (const name of readdirSync(repository)) {
      const path = join(repository, name, "1/model.onnx");
      if (readFileSync(path).equals(right)) writeFileSync(path, doublingModel());
    }
    process.kill(sidecar.runtime.pid ?? 0, "SIGKILL");
    await until("it says so", () => sidecar.events.some(({ kind }) => kind === "model-lost"));
    await expect(changed.infer([x([1, 4, 9, 0])], { deadlineMs: 2_000 })).rejects.toThrow(
      code("runtime_crashed", "was changed"),
    );
    await until("the other model answers again", answers(model));
    const list = JSON.parse(readFileSync(join(sidecar.folder, "runtime/config.json"), "utf8")) as {
      model_config_list: unknown[];
    };
    expect(list.model_config_list).toHaveLength(1);
  });

  it("says when a listed model is never ready, and takes it from the list", async () => {
    const sidecar = openConfigured();
    await sidecar.runtime.load(squareRootModel());
    sidecar.setFault("load-never");
    await expect(sidecar.runtime.load(doublingModel(), { loadDeadlineMs: 500 })).rejects.toThrow(
      code("model_load_failed", "did not have the model ready in time (status 404)"),
    );
    const text = readFileSync(join(sidecar.folder, "runtime/config.json"), "utf8");
    expect(text.match(/base_path/gu)).toHaveLength(1);
  });

  it("lays the folder out as Triton wants it", async () => {
    const sidecar = open();
    await sidecar.runtime.load(doublingModel(), { threads: 3 });
    const repository = join(sidecar.folder, "runtime/repository");
    const [name = ""] = readdirSync(repository);
    expect(readFileSync(join(repository, name, "1/model.onnx"))).toEqual(Buffer.from(doublingModel()));
    expect(readFileSync(join(repository, name, "config.pbtxt"), "utf8").split("\n")).toEqual([
      `name: "${name}"`,
      'platform: "onnxruntime_onnx"',
      "max_batch_size: 0",
      'input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 4 ] } ]',
      'output [ { name: "y" data_type: TYPE_FP32 dims: [ -1, 4 ] } ]',
      "instance_group [ { count: 1 kind: KIND_CPU } ]",
      "version_policy: { specific: { versions: [ 1 ] } }",
      'parameters { key: "intra_op_thread_count" value: { string_value: "3" } }',
      "",
    ]);
  });
});
