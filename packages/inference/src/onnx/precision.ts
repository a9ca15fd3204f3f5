export type Precision = "fp32" | "fp16" | "bf16" | "fp8" | "fp64" | "int8" | "int4" | "mixed";
export type Quantization = "none" | "qdq" | "qlinear" | "dynamic" | "weight-only-4bit";

/** Integer types of 32 and 64 bits are shapes, indices and biases, not weights, and do not count. */
const classes: ReadonlyMap<string, Precision> = new Map([
  ["float32", "fp32"],
  ["float64", "fp64"],
  ["float16", "fp16"],
  ["bfloat16", "bf16"],
  ["float8e4m3fn", "fp8"],
  ["float8e4m3fnuz", "fp8"],
  ["float8e5m2", "fp8"],
  ["float8e5m2fnuz", "fp8"],
  ["int8", "int8"],
  ["uint8", "int8"],
  ["int4", "int4"],
  ["uint4", "int4"],
]);

const fourBitOperators = [
  "com.microsoft::MatMulNBits",
  "com.microsoft::MatMulBnb4",
  "com.microsoft::GatherBlockQuantized",
];

export function toQuantization(
  operators: ReadonlyMap<string, number>,
  elementsByType: ReadonlyMap<string, number>,
): Quantization {
  const uses = (...names: string[]) => names.some((name) => operators.has(name));
  const fourBit = elementsByType.has("int4") || elementsByType.has("uint4");
  if (uses(...fourBitOperators) || (fourBit && uses("DequantizeLinear"))) return "weight-only-4bit";
  if (uses("DequantizeLinear", "com.microsoft::DequantizeLinear")) return "qdq";
  const linear = [...operators.keys()].some((name) => /^(?:com\.microsoft::)?(?:QLinear|QGemm)/u.test(name));
  if (linear) return "qlinear";
  const dynamic = ["DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "com.microsoft::DynamicQuantizeMatMul"];
  return uses(...dynamic) ? "dynamic" : "none";
}

/**
 * The type that holds most of the weights. Scales and zero points are few, so a quantized model needs a plain
 * majority; a float model in which a second type holds more than a tenth is mixed.
 */
export function toPrecision(
  elementsByType: ReadonlyMap<string, number>,
  quantization: Quantization,
  firstInputType: string | undefined,
): Precision {
  if (quantization === "weight-only-4bit") return "int4";
  const shares = new Map<Precision, number>();
  let total = 0;
  for (const [type, elements] of elementsByType) {
    const precision = classes.get(type);
    if (precision === undefined) continue;
    shares.set(precision, (shares.get(precision) ?? 0) + elements);
    total += elements;
  }
  if (total === 0) return classes.get(firstInputType ?? "") ?? "fp32";
  const [best, elements] = [...shares].reduce((left, right) => (right[1] > left[1] ? right : left));
  return elements / total >= (quantization === "none" ? 0.9 : 0.5) ? best : "mixed";
}
