import { buildOnnxModel, identityModel, type WritableDataType } from "@fairlead/inference/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ServingHarness, type HttpAnswer } from "./testing/serving-harness.ts";

/*
 * Tensors that are not what they say, through the real endpoint, for every datatype: each is refused with 400 and a reason in
 * which the input is named, and the model answers the next request. JSON has no not-a-number; the binary form has, and there it
 * is a value like any other.
 */

const datatypes: readonly (readonly [string, WritableDataType, number])[] = [
  ["BOOL", "bool", 1],
  ["UINT8", "uint8", 1],
  ["UINT16", "uint16", 2],
  ["UINT32", "uint32", 4],
  ["UINT64", "uint64", 8],
  ["INT8", "int8", 1],
  ["INT16", "int16", 2],
  ["INT32", "int32", 4],
  ["INT64", "int64", 8],
  ["FP16", "float16", 2],
  ["FP32", "float32", 4],
  ["FP64", "float64", 8],
  ["BYTES", "string", 4],
];

const serving = new ServingHarness();
beforeAll(async () => {
  for (const [, type] of datatypes)
    await serving.serve(serving.toLoad(type, identityModel(type), { slot: type, model: type }));
}, 30_000);
afterAll(() => serving[Symbol.asyncDispose]());

/** The JSON of a request around an input's shape and data as text, since much of what is sent here is no JSON. */
interface Ask {
  readonly datatype: string;
  readonly shape: string;
  readonly data?: string;
  readonly binary?: Uint8Array;
  /** What the request says of its binary data, when that is not true. */
  readonly size?: number;
}

function send(model: string, { datatype, shape, data, binary, size }: Ask): Promise<HttpAnswer> {
  const said = size ?? binary?.length ?? 0;
  const rest = binary === undefined ? `"data":${data ?? "[]"}` : `"parameters":{"binary_data_size":${said}}`;
  const input = `{"name":"x","datatype":"${datatype}","shape":${shape},${rest}}`;
  const json = Buffer.from(`{"inputs":[${input}],"parameters":{"binary_data_output":true}}`);
  return serving.http({
    path: `/v2/models/${model}/infer`,
    headers: binary === undefined ? {} : { "inference-header-content-length": String(json.length) },
    body: Buffer.concat([json, binary ?? new Uint8Array()]),
  });
}

const toError = ({ bytes }: HttpAnswer): string => (JSON.parse(bytes.toString()) as { error: string }).error;
const isText = (datatype: string) => datatype === "BYTES";

describe.each(datatypes)("%s", (datatype, type, width) => {
  const refuse = async (ask: Omit<Ask, "datatype">, reason: RegExp) => {
    const answer = await send(type, { datatype, ...ask });
    expect(answer.status, answer.bytes.toString().slice(0, 300)).toBe(400);
    expect(toError(answer)).toMatch(reason);
  };
  const element = isText(datatype) ? '"a"' : "1";
  const zeros = (count: number) => new Uint8Array(count * width);

  it.each(["NaN", "Infinity", "-Infinity"])("refuses the word %s, which is no JSON", async (word) => {
    await refuse({ shape: "[1]", data: `[${word}]` }, /failed to parse the request JSON buffer/u);
  });

  it.each([
    ['"NaN"', "text"],
    ["null", "nothing"],
    ["1e999", "a number beyond every number"],
    ["{}", "an object"],
  ])("refuses %s, which is %s and no element", async (data) => {
    if (isText(datatype) && data === '"NaN"') return;
    await refuse({ shape: "[1]", data: `[${data}]` }, /^input 'x' holds .*(?:no|neither)/u);
  });

  it.each([
    ["[-1]", /'shape' that is not made of counts/u],
    ["[1.5]", /'shape' that is not made of counts/u],
    ["[9007199254740993]", /'shape' that is not made of counts/u],
    ["[2147483648]", /'shape' that is not made of counts/u],
    ["[65536,65536]", /more than 2147483647 elements/u],
    ["[2147483647,2147483647,2147483647,2147483647]", /more than 2147483647 elements/u],
    ['["1"]', /'shape' that is not made of counts/u],
    ["[[1]]", /'shape' that is not made of counts/u],
    ["1", /no 'shape'/u],
    ["[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", /no 'shape' of at most 16 numbers/u],
  ])("refuses the shape %s, as JSON and as binary data", async (shape, reason) => {
    await refuse({ shape, data: `[${element}]` }, reason);
    await refuse({ shape, binary: zeros(1) }, reason);
  });

  it("refuses a size for its free dimension that no request has the data for, without taking the memory for it", async () => {
    const { rssBytes: before } = await serving.must({ kind: "ping" });
    const reason =
      /unexpected (?:number of .*elements|total byte size)|more than \d+ strings|at most 1048576 are read/u;
    await refuse({ shape: "[2147483647]", data: `[${element}]` }, reason);
    await refuse({ shape: "[2147483647]", binary: zeros(1) }, reason);
    const { rssBytes: after } = await serving.must({ kind: "ping" });
    expect(after - before).toBeLessThan(64 * 1_048_576);
  });

  it("refuses a rank that the model does not have", async () => {
    await refuse(
      { shape: "[1,1]", data: `[${element}]` },
      /unexpected shape for input 'x'.*Expected \[-1\], got \[1,1\]/u,
    );
  });

  it.each([1, 3])("refuses %i elements where the shape says two", async (count) => {
    const data = `[${Array.from({ length: count }, () => element).join(",")}]`;
    await refuse({ shape: "[2]", data }, /unexpected number of elements .*, expecting 2/u);
    await refuse({ shape: "[2]", binary: zeros(count) }, /unexpected (?:total byte size|number of string elements)/u);
  });

  it("refuses binary data that are longer or shorter than they are said to be", async () => {
    await refuse({ shape: "[1]", binary: zeros(2), size: width }, /after the last input/u);
    await refuse({ shape: "[2]", binary: zeros(1), size: 2 * width }, /the body ends inside the data of input 'x'/u);
    await refuse({ shape: "[1]", binary: zeros(1), size: -1 }, /expecting|no count/u);
  });

  it("answers a good one afterwards", async () => {
    const answer = await send(type, { datatype, shape: "[2]", binary: zeros(2) });
    expect(answer.status, answer.bytes.toString().slice(0, 300)).toBe(200);
    const length = Number(answer.headers["inference-header-content-length"]);
    expect(answer.bytes.subarray(length)).toEqual(Buffer.from(zeros(2)));
  });
});

describe("a number that its datatype cannot hold", () => {
  it.each<[string, WritableDataType, string]>([
    ["FP16", "float16", "65520"],
    ["FP16", "float16", "-1e5"],
    ["FP32", "float32", "3.5e38"],
    ["FP32", "float32", "-1e300"],
    ["UINT8", "uint8", "256"],
    ["UINT8", "uint8", "-1"],
    ["INT8", "int8", "-129"],
    ["INT16", "int16", "1.5"],
    ["UINT32", "uint32", "4294967296"],
    ["INT64", "int64", "9223372036854775808"],
    ["INT64", "int64", "1e300"],
    ["UINT64", "uint64", "18446744073709551616"],
    ["UINT64", "uint64", "-9007199254740993"],
    ["UINT64", "uint64", "-1"],
    ["BOOL", "bool", "2"],
  ])("is refused, and becomes no infinity and no other number: %s", async (datatype, type, number) => {
    for (const data of [`[${number}]`, `[[${number}]]`]) {
      const answer = await send(type, { datatype, shape: "[1]", data });
      expect(answer.status).toBe(400);
      expect(toError(answer)).toMatch(/^input 'x' holds .* no /u);
    }
  });

  it("may be the largest that it holds", async () => {
    for (const [datatype, type, number] of [
      ["FP16", "float16", "65504"],
      ["FP32", "float32", "3.4028234663852886e38"],
    ] as const)
      expect((await send(type, { datatype, shape: "[1]", data: `[${number}]` })).status).toBe(200);
  });
});

describe("not-a-number and infinity as binary data", () => {
  it.each<[string, WritableDataType, ArrayBufferView]>([
    ["FP16", "float16", Uint16Array.of(0x7e_00, 0x7c_00, 0xfc_00)],
    ["FP32", "float32", Float32Array.of(NaN, Infinity, -Infinity)],
    ["FP64", "float64", Float64Array.of(NaN, Infinity, -Infinity)],
  ])(
    "are taken as %s, given back as they are, and refused as JSON with the way out",
    async (datatype, type, values) => {
      const binary = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      const answer = await send(type, { datatype, shape: "[3]", binary });
      expect(answer.status).toBe(200);
      const length = Number(answer.headers["inference-header-content-length"]);
      expect(answer.bytes.subarray(length)).toEqual(Buffer.from(binary));
      const json = Buffer.from(
        JSON.stringify({
          inputs: [{ name: "x", datatype, shape: [3], parameters: { binary_data_size: binary.length } }],
        }),
      );
      const asJson = await serving.http({
        path: `/v2/models/${type}/infer`,
        headers: { "inference-header-content-length": String(json.length) },
        body: Buffer.concat([json, binary]),
      });
      expect(asJson.status).toBe(500);
      expect(toError(asJson)).toMatch(/output 'y' holds values that JSON cannot carry/u);
    },
  );
});

/** Sums `x` [a, b] over its first axis: `y` [b] has a value for each of b, even when x has none. */
const sumModel = () =>
  buildOnnxModel({
    graph: {
      nodes: [{ op: "ReduceSum", inputs: ["x", "axes"], outputs: ["y"], attributes: [{ name: "keepdims", int: 0 }] }],
      initializers: [{ name: "axes", type: "int64", dims: [1], data: BigInt64Array.of(0n) }],
      inputs: [{ name: "x", type: "float32", shape: ["a", "b"] }],
      outputs: [{ name: "y", type: "float32", shape: ["b"] }],
    },
  });

describe("a model of two free dimensions", () => {
  beforeAll(() => serving.serve(serving.toLoad("sum", sumModel(), { slot: "sum", model: "sum" })));

  it.each(["[0,2147483647]", "[0,16777217]", "[16777217,0]", "[2147483647,0]"])(
    "refuses %s, which has no elements and asks for up to 8 GiB of answer, without taking memory",
    async (shape) => {
      const { rssBytes: before } = await serving.must({ kind: "ping" });
      for (const form of [{ data: "[]" }, { binary: new Uint8Array() }]) {
        const answer = await send("sum", { datatype: "FP32", shape, ...form });
        expect(answer.status, answer.bytes.toString().slice(0, 300)).toBe(400);
        expect(toError(answer)).toMatch(/input 'x' has no elements, and dimensions that are more than 16777216/u);
      }
      const { rssBytes: after } = await serving.must({ kind: "ping" });
      expect(after - before).toBeLessThan(64 * 1_048_576);
    },
  );

  it("takes none of a reasonable size, and answers the sums of nothing", async () => {
    const answer = await send("sum", { datatype: "FP32", shape: "[0,3]", data: "[]" });
    expect(answer.status).toBe(200);
    const length = Number(answer.headers["inference-header-content-length"]);
    expect([...answer.bytes.subarray(length)]).toEqual(Array.from({ length: 12 }, () => 0));
  });
});

describe("BF16", () => {
  it("is refused as JSON and as binary data by a model of another datatype, which names both", async () => {
    const binary = await send("float32", { datatype: "BF16", shape: "[1]", binary: new Uint8Array(2) });
    expect(binary.status).toBe(400);
    expect(toError(binary)).toMatch(/data-type is 'BF16', but model 'float32' expects 'FP32'/u);
    const json = await send("float32", { datatype: "BF16", shape: "[1]", data: "[1]" });
    expect(json.status).toBe(400);
    expect(toError(json)).toMatch(/BF16 travels as binary data only/u);
  });
});
