import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseInferRequest } from "./infer-request.ts";

const target = { name: "m", inputs: [], outputs: [] };
/** As a client writes it that has integers of 64 bits: numbers, not text. */
const toRequest = (tensors: readonly { readonly datatype: string; readonly data: string }[], id = "7") => {
  const inputs = tensors.map(
    ({ datatype, data }, index) =>
      `{"name":"i${index}","datatype":"${datatype}","shape":[${data === "" ? 0 : data.split(",").length}],"data":[${data}]}`,
  );
  return { bytes: Buffer.from(`{"id":${JSON.stringify(id)},"inputs":[${inputs.join(",")}]}`), jsonBytes: null };
};
const read = (...given: Parameters<typeof toRequest>) => parseInferRequest(target, toRequest(...given));

describe("integers of 64 bits as JSON", () => {
  it("are read to the last digit, whatever stands beside them", () => {
    const int64 = fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 6 });
    const uint64 = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 6 });
    const text = fc.string({ unit: fc.constantFrom('"', "\\", "-", ":", "[", ",", "9", "1234567890123456789", "é") });
    fc.assert(
      fc.property(int64, uint64, fc.array(fc.double({ noNaN: true, noDefaultInfinity: true })), text, (...given) => {
        const [signed, unsigned, doubles, id] = given;
        const request = read(
          [
            { datatype: "INT64", data: signed.join(",") },
            { datatype: "FP64", data: doubles.map((double) => String(double + 0)).join(",") },
            { datatype: "UINT64", data: unsigned.join(",") },
          ],
          id,
        );
        expect(request.id).toBe(id);
        expect(request.inputs.map(({ data }) => data)).toEqual([
          BigInt64Array.from(signed),
          Float64Array.from(doubles, (double) => double + 0),
          BigUint64Array.from(unsigned),
        ]);
      }),
    );
  });

  it.each([
    ["9223372036854775808", "INT64"],
    ["-9223372036854775809", "INT64"],
    ["18446744073709551616", "UINT64"],
    ["-9007199254740993", "UINT64"],
    ["123456789012345678901", "UINT64"],
    ["9007199254740993.5", "INT64"],
    ["1e300", "INT64"],
    ["9.007199254740993e15", "INT64"],
    ['"9007199254740993",9007199254740993', "INT64"],
    ["[[[[[[[[[[[[[[[[[[9007199254740993]]]]]]]]]]]]]]]]]]", "INT64"],
  ])("are refused when they are none: %s as %s", (data, datatype) => {
    expect(() => read([{ datatype, data }])).toThrow(expect.objectContaining({ code: "request_malformed" }));
  });

  it("are refused in more JSON than is read twice, with the way out", () => {
    const data = Array.from({ length: 300_000 }, () => "9007199254740993").join(",");
    expect(() => read([{ datatype: "INT64", data }])).toThrow(/as binary data/u);
    const small = Array.from({ length: 300_000 }, () => "900719925474099").join(",");
    expect(read([{ datatype: "INT64", data: small }]).inputs[0]?.data).toHaveLength(300_000);
  });
});
