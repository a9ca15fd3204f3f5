import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";

const digits = new URL("../../../test/fixtures/digits/", import.meta.url);
const rows = readFileSync(new URL("digits.csv", digits), "utf8")
  .trim()
  .split("\n")
  .filter((line) => line.startsWith("test,"))
  .map((line) => line.split(",").slice(1).map(Number));
const pixels = Float32Array.from(rows.flatMap(([, ...row]) => row.map((value) => value / 16)));

it.each([
  ["1.0.0", 0.846],
  ["1.1.0", 0.976],
])("int8 version %s reads as well on every x64 processor, with VNNI or without: %d", async (version, expected) => {
  const bytes = new Uint8Array(readFileSync(new URL(`digit-reader-${version}-int8.onnx`, digits)));
  const model = await createOnnxRuntime().load(bytes);
  const image = { name: "image", datatype: "FP32", shape: [rows.length, 1, 8, 8], data: pixels.slice() } as const;
  const { outputs } = await model.infer([image], { deadlineMs: 10_000 });
  const scores = [...(outputs[0]?.data ?? [])].map(Number);
  const right = rows.filter(([label], row) => {
    const own = scores.slice(row * 10, row * 10 + 10);
    return own.indexOf(Math.max(...own)) === label;
  });
  expect(right.length / rows.length).toBeCloseTo(expected, 3);
  await model.close();
});
