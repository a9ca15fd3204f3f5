import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTensorData, toElementBytes, toElementCount, type Datatype, type Tensor } from "../tensor.ts";
import { parseInferRequest, type TargetModel } from "./infer-request.ts";
import { toInferResponse } from "./infer-response.ts";

const model: TargetModel = {
  name: "m",
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
  outputs: [
    { name: "y", datatype: "FP32", shape: [-1] },
    { name: "z", datatype: "INT64", shape: [-1] },
  ],
};
const json = (value: unknown) => ({ bytes: new TextEncoder().encode(JSON.stringify(value)), jsonBytes: null });
const x = { name: "x", datatype: "FP32", shape: [2, 2] };
const parse = (input: object, rest: object = {}) => parseInferRequest(model, json({ inputs: [input], ...rest }));

describe("an inference request", () => {
  it.each([
    ["flat", [1, 2, 3, 4]],
    [
      "nested",
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ])("is read from %s data", (_, data) => {
    const request = parse({ ...x, data }, { id: "7" });
    expect(request.inputs).toEqual([{ ...x, data: Float32Array.of(1, 2, 3, 4) }]);
    expect(request.id).toBe("7");
    expect(request.outputs).toEqual([
      { name: "y", binary: false },
      { name: "z", binary: false },
    ]);
  });

  it("chooses outputs and their form", () => {
    const outputs = [{ name: "z" }, { name: "y", parameters: { binary_data: false } }];
    const request = parse({ ...x, data: [1, 2, 3, 4] }, { outputs, parameters: { binary_data_output: true } });
    expect(request.outputs).toEqual([
      { name: "z", binary: true },
      { name: "y", binary: false },
    ]);
  });

  it("is read from raw bytes when the model has one input", () => {
    const bytes = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
    const request = parseInferRequest(model, { bytes, jsonBytes: 0 });
    expect(request.inputs).toEqual([{ ...x, data: Float32Array.of(1, 2, 3, 4) }]);
    expect(() => parseInferRequest(model, { bytes: bytes.subarray(1), jsonBytes: 0 })).toThrow(/byte size 15/u);
  });

  it.each([
    ["too few elements", { ...x, data: [1, 2, 3] }, /unexpected number of elements 3 for input 'x', expecting 4/u],
    ["too many elements", { ...x, data: [1, 2, 3, 4, 5] }, /more than 4 for input 'x', expecting 4/u],
    ["text", { ...x, data: ["1", 2, 3, 4] }, /no finite number/u],
    ["null", { ...x, data: [null, 2, 3, 4] }, /no finite number/u],
    ["no data", x, /no data array/u],
    [
      "deep nesting",
      { ...x, data: Array.from({ length: 40 }).reduce<unknown>((inner) => [inner], 1) },
      /nested deeper/u,
    ],
    ["a datatype nobody knows", { ...x, datatype: "FP8", data: [] }, /no known 'datatype'/u],
    ["a name from the prototype", { ...x, datatype: "constructor", data: [] }, /no known 'datatype'/u],
    ["a number among strings", { ...x, datatype: "BYTES", data: ["a", 1, "c", "d"] }, /no string/u],
    ["too few strings", { ...x, datatype: "BYTES", data: ["a"] }, /elements 1 for input 'x', expecting 4/u],
    ["half a character among strings", { ...x, datatype: "BYTES", data: ["\ud800", "", "", ""] }, /no string/u],
    ["a negative dimension", { ...x, shape: [-1, 2], data: [] }, /not made of counts/u],
    ["a fractional dimension", { ...x, shape: [1.5], data: [] }, /not made of counts/u],
    ["a shape that overflows", { ...x, shape: [2 ** 30, 2 ** 30], data: [] }, /more than 2147483647 elements/u],
    ["no elements of absurd sizes", { ...x, shape: [0, 2 ** 31 - 1], data: [] }, /no elements, and dimensions/u],
    ["absurd sizes before a zero", { ...x, shape: [2 ** 24 + 1, 0], data: [] }, /no elements, and dimensions/u],
    ["absurd sizes around a zero", { ...x, shape: [2 ** 20, 0, 2 ** 20], data: [] }, /more than 2147483647 elements/u],
    ["no name", { ...x, name: 1, data: [] }, /no 'name'/u],
    ["300 in UINT8", { ...x, datatype: "UINT8", data: [300, 0, 0, 0] }, /300, which is no UINT8/u],
    ["a fraction in INT32", { ...x, datatype: "INT32", data: [0.5, 0, 0, 0] }, /no INT32/u],
    ["2^63 in INT64", { ...x, datatype: "INT64", data: [2 ** 63, 0, 0, 0] }, /which is no INT64/u],
    ["2 in BOOL", { ...x, datatype: "BOOL", data: [2, 0, 0, 0] }, /no BOOL/u],
    ["shared memory", { ...x, parameters: { shared_memory_region: "r" } }, /shared memory/u],
    [
      "a wrong binary size",
      { ...x, parameters: { binary_data_size: 12 } },
      /byte size 12 for input 'x', expecting 16/u,
    ],
    ["a body that ends early", { ...x, parameters: { binary_data_size: 16 } }, /body ends inside/u],
    ["both forms of data", { ...x, data: [], parameters: { binary_data_size: 16 } }, /both/u],
  ])("is refused for %s", (_, input, message) => {
    expect(() => parse(input)).toThrow(message);
  });

  it.each([
    ["a list", [], /no JSON object/u],
    ["no inputs", {}, /'inputs' is no array/u],
    ["an unknown output", { inputs: [], outputs: [{ name: "q" }] }, /unexpected inference output 'q'/u],
    ["no classes", { inputs: [], outputs: [{ name: "y", parameters: { classification: 0 } }] }, /count of classes/u],
    [
      "half a class",
      { inputs: [], outputs: [{ name: "y", parameters: { classification: 1.5 } }] },
      /count of classes/u,
    ],
    [
      "shared memory of outputs where there is none",
      {
        inputs: [],
        outputs: [{ name: "y", parameters: { shared_memory_region: "r", shared_memory_byte_size: 4 } }],
      },
      /not supported for outputs here/u,
    ],
    [
      "classes in shared memory",
      { inputs: [], outputs: [{ name: "y", parameters: { classification: 1, shared_memory_region: "r" } }] },
      /one of them/u,
    ],
    ["a flag that is text", { inputs: [], parameters: { binary_data_output: "yes" } }, /neither true nor false/u],
    ["an id that is a number", { inputs: [], id: 7 }, /'id'/u],
  ])("is refused as a whole for %s", (_, request, message) => {
    expect(() => parseInferRequest(model, json(request))).toThrow(message);
  });

  it("is refused when bytes are left over or missing", () => {
    const bytes = new Uint8Array([...new TextEncoder().encode('{"inputs":[]}'), 1, 2]);
    expect(() => parseInferRequest(model, { bytes, jsonBytes: 13 })).toThrow(/unexpected 2 bytes/u);
    expect(() => parseInferRequest(model, { bytes, jsonBytes: 99 })).toThrow(/Content-Length is 99/u);
    expect(() => parseInferRequest(model, { bytes, jsonBytes: null })).toThrow(/failed to parse/u);
  });

  it("answers any bytes with an error or a request", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.option(fc.nat(80)), (bytes, jsonBytes) => {
        try {
          parseInferRequest(model, { bytes, jsonBytes });
        } catch (error) {
          expect(error).toHaveProperty("code");
        }
      }),
    );
  });

  it("makes views of aligned binary data and copies of the rest", () => {
    const head = (spaces: number) =>
      JSON.stringify({ inputs: [{ ...x, parameters: { binary_data_size: 16 } }] }) + " ".repeat(spaces);
    for (const spaces of [0, 1, 2, 3]) {
      const jsonBytes = head(spaces).length;
      const bytes = new Uint8Array(jsonBytes + 16);
      bytes.set(new TextEncoder().encode(head(spaces)));
      bytes.set(new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer), jsonBytes);
      const [input] = parseInferRequest(model, { bytes, jsonBytes }).inputs;
      expect(input?.data).toEqual(Float32Array.of(1, 2, 3, 4));
      expect(input?.data.buffer === bytes.buffer).toBe(jsonBytes % 4 === 0);
    }
  });
});

const datatypes: readonly Datatype[] = [
  "BOOL",
  "UINT8",
  "UINT16",
  "UINT32",
  "UINT64",
  "INT8",
  "INT16",
  "INT32",
  "INT64",
  "FP16",
  "BF16",
  "FP32",
  "FP64",
];

function toTensor(name: string, head: { datatype: Datatype; shape: number[]; seed: number }): Tensor {
  const { datatype, shape, seed } = head;
  const count = toElementCount(shape);
  const data = createTensorData(datatype, count);
  for (let index = 0; index < count; index += 1) {
    const value = datatype === "BOOL" ? (seed + index) % 2 : (seed * (index + 1)) % 127;
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[index] = BigInt(value);
    else data[index] = value;
  }
  return { name, datatype, shape, data };
}

describe("a tensor", () => {
  it("comes back from a response as it went in, in JSON and in binary", () => {
    const arbitrary = fc.record({
      tensors: fc.array(
        fc.record({
          datatype: fc.constantFrom(...datatypes),
          shape: fc.array(fc.nat(4), { maxLength: 3 }),
          seed: fc.nat(1_000),
          binary: fc.boolean(),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      id: fc.option(fc.string({ maxLength: 20 })),
    });
    fc.assert(
      fc.property(arbitrary, ({ tensors, id }) => {
        const outputs = tensors.map((tensor, index) => toTensor(`t"${index}`, tensor));
        const forms = tensors.map(({ datatype, binary }, index) => ({
          name: `t"${index}`,
          binary: binary || datatype === "BF16",
        }));
        const response = toInferResponse({ name: "m", version: "1.0.0" }, { id, outputs: forms }, outputs);
        const bytes = Buffer.concat(response.parts);
        expect(bytes.length).toBe(response.totalBytes);
        const answer = JSON.parse(bytes.subarray(0, response.jsonBytes ?? bytes.length).toString());
        expect(answer.id).toBe(id ?? undefined);
        // A response's outputs have the form of a request's inputs, so the parser reads them back.
        const request = Buffer.from(JSON.stringify({ inputs: answer.outputs }));
        const body = Buffer.concat([request, bytes.subarray(response.jsonBytes ?? bytes.length)]);
        const target = { name: "m", inputs: [], outputs: [] };
        const read = parseInferRequest(target, { bytes: body, jsonBytes: request.length });
        expect(read.inputs).toEqual(outputs);
      }),
    );
  });

  it("has the bytes per element of its datatype", () => {
    for (const datatype of datatypes) {
      expect(createTensorData(datatype, 3).byteLength).toBe(3 * toElementBytes(datatype));
    }
  });

  it("is refused in JSON when it holds not-a-number", () => {
    const output: Tensor = { name: "y", datatype: "FP32", shape: [1], data: Float32Array.of(Number.NaN) };
    const answer = (binary: boolean) =>
      toInferResponse({ name: "m", version: "1" }, { id: null, outputs: [{ name: "y", binary }] }, [output]);
    expect(() => answer(false)).toThrow(/JSON cannot carry/u);
    expect(answer(true).totalBytes).toBeGreaterThan(4);
  });
});
