import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toSourceRequest, type ModelDocument } from "./source-request.ts";

const model = (shape: number[], datatype: "FP32" | "INT64" | "UINT8" = "FP32"): ModelDocument => ({
  inputs: [{ name: "x", datatype, shape }],
});
const toRequest = (name: string, bytes: Buffer, of: ModelDocument) =>
  toSourceRequest({ form: name.endsWith(".json") ? "json" : "bytes", bytes }, of, "batch");
const readHead = (result: ReturnType<typeof toSourceRequest>) => {
  if (result.kind !== "request") throw new Error(result.reason);
  const { body, jsonBytes } = result.request;
  return JSON.parse(body.subarray(0, jsonBytes ?? body.length).toString()) as Record<string, unknown>;
};

describe("the request of a file or message", () => {
  it("takes the rows of a file of bytes from its size", () => {
    const result = toRequest("a.bin", Buffer.alloc(3 * 4 * 8), model([-1, 8]));
    expect(readHead(result)).toEqual({
      parameters: { priority: "batch" },
      inputs: [{ name: "x", datatype: "FP32", shape: [3, 8], parameters: { binary_data_size: 96 } }],
    });
  });

  it("is as urgent as its source and waits as long as it takes, whatever its JSON says", () => {
    const text = JSON.stringify({ id: "7", inputs: [], parameters: { priority: "realtime", timeout: 5 } });
    expect(readHead(toRequest("a.json", Buffer.from(text), model([1])))).toEqual({
      id: "7",
      inputs: [],
      parameters: { priority: "batch" },
    });
  });

  it("keeps every digit of a JSON request, whose parameters stand last and alone count", () => {
    const toBody = (text: string) => {
      const result = toRequest("a.json", Buffer.from(text), model([1]));
      return result.kind === "request" ? result.request.body.toString() : result.reason;
    };
    const last = '"parameters":{"priority":"batch"}}';
    const text =
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[2],"data":[9007199254740993,-9223372036854775808]}]';
    expect(toBody(`${text} }\n`)).toBe(`${text} ,${last}`);
    expect(toBody("{ }")).toBe(`{ ${last}`);
    expect(JSON.parse(toBody('{"parameters":{"timeout":5,"a":"}"}}'))).toEqual({
      parameters: { a: "}", priority: "batch" },
    });
  });

  it("says why a file cannot be one", () => {
    const cases: readonly [string, Buffer, ModelDocument, string][] = [
      ["a.bin", Buffer.alloc(7), model([-1, 8]), "it has 7 bytes, the input x takes 32"],
      ["a.bin", Buffer.alloc(0), model([-1, 8]), "it has 0 bytes"],
      ["a.bin", Buffer.alloc(64), model([8]), "it has 64 bytes"],
      ["a.bin", Buffer.alloc(64), model([-1, -1]), "does not follow from a size"],
      ["a.bin", Buffer.alloc(64), { inputs: [] }, "the model has 0 inputs"],
      ["a.json", Buffer.from("{"), model([8]), "it is no JSON"],
      ["a.json", Buffer.from("[1]"), model([8]), "it is no inference request"],
    ];
    for (const [name, bytes, of, reason] of cases)
      expect(toRequest(name, bytes, of)).toMatchObject({
        kind: "unusable",
        reason: expect.stringContaining(reason) as string,
      });
  });

  it("holds as many elements as its shape says, for every file that is taken", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(fc.integer({ min: -1, max: 5 }), { maxLength: 4 }),
        fc.constantFrom("FP32" as const, "INT64" as const, "UINT8" as const),
        (bytes, shape, datatype) => {
          const result = toRequest("f", Buffer.from(bytes), model(shape, datatype));
          if (result.kind === "unusable") return;
          const [input] = readHead(result)["inputs"] as { shape: number[] }[];
          const count = (input?.shape ?? []).reduce((product, size) => product * size, 1);
          expect(count * { FP32: 4, INT64: 8, UINT8: 1 }[datatype]).toBe(bytes.length);
        },
      ),
    );
  });
});
