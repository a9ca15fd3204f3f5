import { expect, it } from "vitest";
import { requireContract } from "./require-contract.ts";

const x = { name: "x", elementType: "float32" };
const n = { name: "n", elementType: "int64" };
const y = { name: "y", elementType: "float32" };
const stated = { inputs: [x, n], outputs: [y] };

it("A5 takes a file with the tensors that were signed, in any order", () => {
  expect(() => requireContract(stated, { inputs: [n, x], outputs: [y] })).not.toThrow();
});

it.each([
  ["an input less", { inputs: [x], outputs: [y] }, /states the inputs "n" int64, "x" float32, but the file has "x"/u],
  ["an input more", { inputs: [x, n, { ...x, name: "z" }], outputs: [y] }, /the file has .*"z"/u],
  ["an input twice", { inputs: [x, x], outputs: [y] }, /the inputs/u],
  ["another element type", { inputs: [x, { ...n, elementType: "int32" }], outputs: [y] }, /"n" int32/u],
  ["another output", { inputs: [x, n], outputs: [{ ...y, name: "\u001b]0;y\u0007" }] }, /has "\\u001b\]0;y\\u0007"/u],
])("A5 refuses a file with %s", (_what, found, message) => {
  expect(() => requireContract(stated, found)).toThrow(message);
  expect(() => requireContract(stated, found)).toThrow(expect.objectContaining({ code: "contract_mismatch" }));
});
