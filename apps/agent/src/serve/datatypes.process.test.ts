import { identityModel, upperCaseModel, type WritableDataType } from "@fairlead/inference/testing";
import { afterAll, describe, expect, it } from "vitest";
import { ServingHarness, type HttpAnswer } from "./testing/serving-harness.ts";

/*
 * Every datatype of the protocol, through the real endpoint and the real runtime: what goes in as JSON or as binary data
 * comes out as either. One slot, so one model name, after the other.
 */

const serving = new ServingHarness();
afterAll(() => serving[Symbol.asyncDispose]());

async function serve(loadId: string, bytes: Uint8Array): Promise<void> {
  await serving.serve(serving.toLoad(loadId, bytes, { slot: loadId, model: loadId }));
}

interface Ask {
  readonly model: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: readonly unknown[];
  readonly binary?: Uint8Array;
  readonly binaryOutput?: boolean;
}

async function ask({ model, datatype, shape, data, binary, binaryOutput = false }: Ask): Promise<HttpAnswer> {
  const input = { name: "x", datatype, shape };
  const head =
    binary === undefined ? { ...input, data } : { ...input, parameters: { binary_data_size: binary.length } };
  const json = Buffer.from(JSON.stringify({ inputs: [head], parameters: { binary_data_output: binaryOutput } }));
  const headers = binary === undefined ? {} : { "inference-header-content-length": String(json.length) };
  return serving.http({
    path: `/v2/models/${model}/infer`,
    headers,
    body: Buffer.concat([json, binary ?? new Uint8Array()]),
  });
}

interface Output {
  readonly datatype: string;
  readonly shape: number[];
  readonly data?: unknown[];
  readonly parameters?: { readonly binary_data_size: number };
}

function read({ status, headers, bytes }: HttpAnswer): { readonly output: Output; readonly binary: Buffer } {
  expect(status, bytes.toString()).toBe(200);
  const length = Number(headers["inference-header-content-length"] ?? bytes.length);
  const { outputs } = JSON.parse(bytes.subarray(0, length).toString()) as { outputs: [Output] };
  return { output: outputs[0], binary: bytes.subarray(length) };
}

const toBytes = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const toStrings = (...texts: string[]): Uint8Array =>
  Buffer.concat(
    texts.map((text) => {
      const head = Buffer.alloc(4);
      head.writeUInt32LE(Buffer.byteLength(text));
      return Buffer.concat([head, Buffer.from(text)]);
    }),
  );

describe("the datatype", () => {
  it.each<[string, WritableDataType, unknown[], Uint8Array]>([
    ["BOOL", "bool", [true, false], Uint8Array.of(1, 0)],
    ["UINT8", "uint8", [0, 255], Uint8Array.of(0, 255)],
    ["UINT16", "uint16", [0, 65_535], toBytes(Uint16Array.of(0, 65_535))],
    ["UINT32", "uint32", [0, 4_294_967_295], toBytes(Uint32Array.of(0, 4_294_967_295))],
    ["UINT64", "uint64", [0, 9_007_199_254_740_991], toBytes(BigUint64Array.of(0n, 9_007_199_254_740_991n))],
    ["INT8", "int8", [-128, 127], toBytes(Int8Array.of(-128, 127))],
    ["INT16", "int16", [-32_768, 32_767], toBytes(Int16Array.of(-32_768, 32_767))],
    ["INT32", "int32", [-2_147_483_648, 7], toBytes(Int32Array.of(-2_147_483_648, 7))],
    ["INT64", "int64", [-9_007_199_254_740_991, 7], toBytes(BigInt64Array.of(-9_007_199_254_740_991n, 7n))],
    ["FP16", "float16", [-0.5, 65_504], toBytes(Uint16Array.of(0xb8_00, 0x7b_ff))],
    ["FP32", "float32", [-0.5, 3.25], toBytes(Float32Array.of(-0.5, 3.25))],
    ["FP64", "float64", [-0.1, 1e300], toBytes(Float64Array.of(-0.1, 1e300))],
    ["BYTES", "string", ["grün", ""], toStrings("grün", "")],
  ])("%s goes in and comes out as JSON and as binary data", async (...[datatype, type, data, binary]) => {
    await serve(`m-${type}`, identityModel(type));
    const tensor = { model: `m-${type}`, datatype, shape: [2] };
    for (const input of [{ data }, { binary }]) {
      const asJson = read(await ask({ ...tensor, ...input }));
      expect(asJson.output).toMatchObject({ datatype, shape: [2], data });
      const asBinary = read(await ask({ ...tensor, ...input, binaryOutput: true }));
      expect(asBinary.output).toMatchObject({ datatype, parameters: { binary_data_size: binary.length } });
      expect(asBinary.binary.equals(binary)).toBe(true);
    }
    const model = await serving.http({ path: `/v2/models/m-${type}` });
    expect(JSON.parse(model.bytes.toString())).toMatchObject({ inputs: [{ name: "x", datatype, shape: [-1] }] });
  });

  it("BF16 is refused when the model is loaded, since the runtime for Node has no tensor of it", async () => {
    const answer = await serving.ask(serving.toLoad("m-bf16", identityModel("bfloat16"), { slot: "bf16" }));
    expect(answer).toMatchObject({ ok: false });
    expect(answer.ok ? "" : answer.error.code).toMatch(/tensor_type_unsupported|model_load_failed/u);
  });
});

describe("a model of strings", () => {
  it("is really run on them, has a raw binary form for one string, and says TYPE_STRING in its configuration", async () => {
    await serve("upper", upperCaseModel());
    const text = ["stop", "go"];
    const { output } = read(await ask({ model: "upper", datatype: "BYTES", shape: [2], data: text }));
    expect(output.data).toEqual(["STOP", "GO"]);
    const raw = await serving.http({
      path: "/v2/models/upper/infer",
      headers: { "inference-header-content-length": "0" },
      body: Buffer.from("raw"),
    });
    expect(read(raw).binary.equals(toStrings("RAW"))).toBe(true);
    const config = await serving.http({ path: "/v2/models/upper/config" });
    expect(JSON.parse(config.bytes.toString())).toMatchObject({ input: [{ data_type: "TYPE_STRING" }] });
  });

  it.each<[string, Partial<Ask>, RegExp]>([
    ["a length beyond the end", { binary: Uint8Array.of(9, 0, 0, 0, 65) }, /no whole strings/u],
    ["half a length", { binary: Uint8Array.of(9, 0) }, /no whole strings/u],
    [
      "more strings than its shape says",
      { binary: toStrings("a", "b", "c") },
      /elements 3 for input 'x', expecting 2/u,
    ],
    ["bytes that are no UTF-8", { binary: Uint8Array.of(1, 0, 0, 0, 0xff, 0, 0, 0, 0) }, /no UTF-8/u],
    ["a NUL character, where the runtime would cut it", { data: ["he\0llo", "b"] }, /string with a NUL character/u],
    ["a NUL character in binary data", { binary: toStrings("a", "he\0llo") }, /string with a NUL character/u],
    ["a number", { data: ["a", 1] }, /no string/u],
    ["too few", { data: ["a"] }, /elements 1 for input 'x', expecting 2/u],
    ["another datatype", { datatype: "FP32", data: [1, 2] }, /data-type is 'FP32', but model 'upper' expects 'BYTES'/u],
    [
      "a million and one strings",
      { shape: [1_048_577], binary: new Uint8Array(4 * 1_048_577) },
      /at most 1048576 are read/u,
    ],
  ])("refuses %s with a clear error, and goes on", async (...[, part, message]) => {
    const answer = await ask({ model: "upper", datatype: "BYTES", shape: [2], ...part });
    expect(answer.status).toBe(400);
    expect((JSON.parse(answer.bytes.toString()) as { error: string }).error).toMatch(message);
    expect(read(await ask({ model: "upper", datatype: "BYTES", shape: [1], data: ["on"] })).output.data).toEqual([
      "ON",
    ]);
  });
});
