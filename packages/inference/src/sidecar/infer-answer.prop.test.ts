import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RuntimeError } from "../runtime-error.ts";
import { createTensorData, toElementBytes, type Datatype, type Tensor, type TensorSpec } from "../tensor.ts";
import { parseInferAnswer } from "./infer-answer.ts";
import { toInferBody } from "./infer-body.ts";

const outputs: readonly TensorSpec[] = [
  { name: "y", datatype: "FP32", shape: [-1, 2] },
  { name: "n", datatype: "INT64", shape: [] },
  { name: "b", datatype: "BOOL", shape: [-1] },
];
const expected = { id: "7", model: "m", outputs };

function build(document: unknown, binary: Uint8Array): { headerLength: string; bytes: Uint8Array } {
  const json = Buffer.from(JSON.stringify(document));
  return { headerLength: String(json.length), bytes: Buffer.concat([json, binary]) };
}

const toHead = (spec: TensorSpec, shape: readonly number[]) => ({
  name: spec.name,
  datatype: spec.datatype,
  shape,
  parameters: { binary_data_size: shape.reduce((a, b) => a * b, 1) * toElementBytes(spec.datatype) },
});

/** Tensors, or the parser's own error: never another one, never a tensor that the model could not have given. */
function parse(body: { readonly headerLength: string | null; readonly bytes: Uint8Array }): readonly Tensor[] | null {
  try {
    const tensors = parseInferAnswer(expected, body);
    expect(tensors.map(({ name, datatype }) => [name, datatype])).toEqual(
      outputs.map(({ name, datatype }) => [name, datatype]),
    );
    for (const [index, { shape, data }] of tensors.entries()) {
      expect(shape).toHaveLength(outputs[index]!.shape.length);
      expect(data).toHaveLength(shape.reduce((a, b) => a * b, 1));
    }
    return tensors;
  } catch (error) {
    expect(error).toBeInstanceOf(RuntimeError);
    expect(error).toMatchObject({ code: "inference_failed" });
    return null;
  }
}

describe("the parser of answers", () => {
  it("reads what a right answer says, bit for bit, in any order of the outputs", () => {
    fc.assert(
      fc.property(
        fc.record({
          y: fc.array(fc.float(), { maxLength: 20 }).filter(({ length }) => length % 2 === 0),
          n: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
          b: fc.array(fc.boolean(), { maxLength: 20 }),
          order: fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
        }),
        ({ y, n, b, order }) => {
          const data = [Float32Array.from(y), BigInt64Array.of(n), Uint8Array.from(b, Number)];
          const shapes = [[y.length / 2, 2], [], [b.length]];
          const heads = order.map((index) => toHead(outputs[index]!, shapes[index]!));
          const binary = Buffer.concat(
            order.map((index) => new Uint8Array(data[index]!.buffer, 0, data[index]!.byteLength)),
          );
          const tensors = parse(build({ id: "7", model_name: "m", outputs: heads }, binary));
          expect(tensors?.map((tensor) => Array.from<number | bigint>(tensor.data as Float32Array))).toEqual(
            data.map((one) => Array.from<number | bigint>(one as Float32Array)),
          );
        },
      ),
    );
  });

  it("never gives anything but tensors of the model or its own error, whatever the bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.option(fc.oneof(fc.string(), fc.nat(250).map(String), fc.bigInt().map(String))),
        (bytes, headerLength) => {
          parse({ bytes, headerLength });
        },
      ),
    );
  });

  it("never gives anything else for JSON of the right form with wrong parts", () => {
    const head = fc.record(
      {
        name: fc.oneof(fc.constantFrom("y", "n", "b", "__proto__", "toString"), fc.string()),
        datatype: fc.oneof(fc.constantFrom("FP32", "INT64", "BOOL", "BYTES", "FP16"), fc.jsonValue()),
        shape: fc.oneof(
          fc.array(fc.oneof(fc.nat(4), fc.constantFrom(-1, 2 ** 31 - 1, 2 ** 53, 1e300, 0.5)), { maxLength: 4 }),
          fc.jsonValue(),
        ),
        parameters: fc.oneof(
          fc.record({ binary_data_size: fc.oneof(fc.nat(64), fc.constantFrom(-8, 2 ** 53, 1e300, 0.5, null)) }),
          fc.jsonValue(),
        ),
        data: fc.oneof(fc.array(fc.oneof(fc.double(), fc.boolean(), fc.nat(9)), { maxLength: 8 }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(fc.array(head, { maxLength: 4 }), fc.tuple(head, head, head)),
        fc.uint8Array({ maxLength: 64 }),
        fc.integer({ min: -2, max: 2 }),
        (heads, binary, off) => {
          const body = build({ id: "7", outputs: heads }, binary);
          parse({ ...body, headerLength: String(Number(body.headerLength) + off) });
        },
      ),
    );
  });

  it("refuses a right answer with one byte changed in its head or one byte too few or too many", () => {
    const heads = [toHead(outputs[0]!, [1, 2]), toHead(outputs[1]!, []), toHead(outputs[2]!, [3])];
    const right = build({ id: "7", model_name: "m", outputs: heads }, new Uint8Array(8 + 8 + 3));
    expect(parse(right)).not.toBeNull();
    expect(parse({ ...right, bytes: right.bytes.subarray(0, -1) })).toBeNull();
    expect(parse({ ...right, bytes: Buffer.concat([right.bytes, Buffer.of(0)]) })).toBeNull();
    expect(parse({ ...right, bytes: Buffer.concat([right.bytes.subarray(0, -1), Buffer.of(2)]) })).toBeNull();
    fc.assert(
      fc.property(fc.nat(Number(right.headerLength) - 1), fc.nat(255), (at, byte) => {
        const bytes = Buffer.from(right.bytes);
        bytes[at] = byte;
        parse({ ...right, bytes });
      }),
    );
  });

  it.each([
    ["a product that overflows", { ...toHead(outputs[0]!, [1, 2]), shape: [2 ** 31 - 1, 2] }],
    ["a dimension beyond 2^31", { ...toHead(outputs[0]!, [1, 2]), shape: [2 ** 40, 2] }],
    ["a negative dimension", { ...toHead(outputs[0]!, [1, 2]), shape: [-1, 2] }],
    ["half a dimension", { ...toHead(outputs[0]!, [1, 2]), shape: [0.5, 2] }],
  ])("refuses %s", (_, head) => {
    const only = { id: "7", model: "m", outputs: outputs.slice(0, 1) };
    const body = build({ outputs: [head] }, new Uint8Array(8));
    expect(() => parseInferAnswer(only, body)).toThrow(expect.objectContaining({ code: "inference_failed" }));
  });

  it("takes no memory for elements that JSON does not hold", () => {
    const only = { id: "7", model: "m", outputs: [{ name: "y", datatype: "FP64" as const, shape: [-1] }] };
    const bytes = Buffer.from(
      JSON.stringify({ outputs: [{ name: "y", datatype: "FP64", shape: [2 ** 31 - 1], data: [1] }] }),
    );
    const before = process.memoryUsage().arrayBuffers;
    expect(() => parseInferAnswer(only, { headerLength: null, bytes })).toThrow(
      "1 elements, the shape says 2147483647",
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_048_576);
  });

  it("writes requests whose parts are as long as they say", () => {
    const types: readonly Datatype[] = ["BOOL", "INT8", "FP16", "INT32", "FP64", "UINT64"];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...types), fc.nat(9)), { maxLength: 5 }), (list) => {
        const inputs = list.map(([datatype, length], index) => ({
          name: `i${index}`,
          datatype,
          shape: [length],
          data: createTensorData(datatype, length),
        }));
        const { jsonBytes, parts } = toInferBody("7", inputs, outputs);
        const [json = new Uint8Array(0), ...binaries] = parts;
        expect(json).toHaveLength(jsonBytes ?? -1);
        const document = JSON.parse(Buffer.from(json).toString()) as {
          inputs: { parameters: { binary_data_size: number } }[];
        };
        expect(binaries.map(({ length }) => length)).toEqual(
          document.inputs.map(({ parameters }) => parameters.binary_data_size),
        );
      }),
    );
  });
});
