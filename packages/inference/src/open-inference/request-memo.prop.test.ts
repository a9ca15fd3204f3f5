import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkInputs } from "../check-inputs.ts";
import { parseInferRequest, type RequestBody, type TargetModel } from "./infer-request.ts";
import { RequestMemo } from "./request-memo.ts";

const shared = { shared_memory_region: "r", shared_memory_byte_size: 8 };
const model: TargetModel = {
  name: "m",
  inputs: [
    { name: "x", datatype: "FP32", shape: [-1, 2] },
    { name: "flags", datatype: "BOOL", shape: [-1] },
  ],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1] }],
};

/** Mostly the same, so that two requests are often equal, and often equal but for one thing. */
const bodies = fc
  .record({
    rows: fc.constantFrom(1, 2),
    datatype: fc.constantFrom("FP32", "FP32", "FP32", "FP32", "INT32"),
    form: fc.constantFrom("binary", "binary", "binary", "binary", "json"),
    id: fc.constantFrom(undefined, undefined, undefined, "7"),
    timeout: fc.constantFrom(undefined, undefined, undefined, 1_000),
    missingBytes: fc.constantFrom(0, 0, 0, 0, 1),
    fill: fc.nat(255),
    output: fc.constantFrom(undefined, undefined, undefined, { classification: 2 }, { binary_data: true }, shared),
  })
  .map(({ rows, datatype, form, id, timeout, missingBytes, fill, output }): RequestBody => {
    const size = { binary_data_size: rows * 8 };
    const x = { name: "x", datatype, shape: [rows, 2] };
    const flags = { name: "flags", datatype: "BOOL", shape: [rows], parameters: { binary_data_size: rows } };
    const inputs = [form === "binary" ? { ...x, parameters: size } : { ...x, data: Array(rows * 2).fill(fill) }, flags];
    const outputs = output === undefined ? undefined : [{ name: "y", parameters: output }];
    const json = Buffer.from(JSON.stringify({ id, inputs, outputs, parameters: { timeout } }));
    const binary = Buffer.alloc((form === "binary" ? rows * 8 : 0) + rows - missingBytes, fill);
    return { bytes: Buffer.concat([json, binary]), jsonBytes: json.length };
  });

/** A region that the client registers and unregisters as it likes. */
const region = { there: true };
const checkShared = () => {
  if (!region.there) throw new Error("no such region");
};

function read(body: RequestBody) {
  const request = parseInferRequest(model, { ...body, checkShared });
  checkInputs(model.name, model.inputs, request.inputs);
  return request;
}

function tryRead(body: RequestBody) {
  try {
    return read(body);
  } catch {
    return null;
  }
}

describe("the memo of the last good request", () => {
  it("gives what reading the body gives, or nothing; never a request that would be refused", () => {
    let recalls = 0;
    fc.assert(
      fc.property(fc.array(bodies, { minLength: 20, maxLength: 60 }), (given) => {
        const memo = new RequestMemo();
        for (const [index, { bytes, jsonBytes }] of given.entries()) {
          region.there = index % 3 !== 0;
          const { buffer } = Uint8Array.from(bytes);
          const body = { bytes: Buffer.from(buffer), jsonBytes };
          const recalled = memo.recall(body);
          const request = tryRead(body);
          if (recalled !== null) {
            recalls += 1;
            expect(recalled).toEqual(request);
          } else if (request !== null) memo.keep(body, request);
          // A run takes the body's memory away.
          structuredClone(buffer, { transfer: [buffer] });
        }
      }),
      { numRuns: 300 },
    );
    expect(recalls).toBeGreaterThan(100);
  });

  it("keeps no request whose values lie in its JSON, and none with strings", () => {
    const memo = new RequestMemo();
    const keep = (inputs: object[], binary: Buffer, of: TargetModel) => {
      const json = Buffer.from(JSON.stringify({ inputs }));
      const body = { bytes: Buffer.concat([json, binary]), jsonBytes: json.length };
      memo.keep(body, parseInferRequest(of, body));
      return memo.recall(body);
    };
    const values = { name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] };
    const flags = { name: "flags", datatype: "BOOL", shape: [1], parameters: { binary_data_size: 1 } };
    expect(keep([values, flags], Buffer.of(1), model)).toBeNull();
    const texts: TargetModel = { ...model, inputs: [{ name: "text", datatype: "BYTES", shape: [1] }] };
    const text = { name: "text", datatype: "BYTES", shape: [1], parameters: { binary_data_size: 5 } };
    expect(keep([text], Buffer.from([1, 0, 0, 0, 97]), texts)).toBeNull();
  });
});
