import { createTensorData, toElementCount, type Tensor, type TensorSpec } from "../tensor.ts";

/** The requests' tensors one below the other, in the model's order; the first dimension becomes their sum. */
export function concatenateRows(specs: readonly TensorSpec[], requests: readonly (readonly Tensor[])[]): Tensor[] {
  return specs.map((spec) => {
    const parts = requests.flatMap((inputs) => inputs.filter((input) => input.name === spec.name));
    const rows = parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0);
    const shape = [rows, ...(parts[0]?.shape.slice(1) ?? [])];
    const data = createTensorData(spec.datatype, toElementCount(shape));
    const bytes = new Uint8Array(data.buffer);
    let position = 0;
    for (const part of parts) {
      bytes.set(new Uint8Array(part.data.buffer, part.data.byteOffset, part.data.byteLength), position);
      position += part.data.byteLength;
    }
    return { name: spec.name, datatype: spec.datatype, shape, data };
  });
}

/** Each request's rows of the outputs, as views; null when an output has not one row for each row that went in. */
export function splitRows(outputs: readonly Tensor[], rows: readonly number[]): Tensor[][] | null {
  const total = rows.reduce((sum, count) => sum + count, 0);
  if (outputs.some(({ shape }) => shape[0] !== total)) return null;
  let from = 0;
  return rows.map((count) => {
    const parts = outputs.map((output) => {
      const width = output.data.length / total;
      const data = output.data.subarray(from * width, (from + count) * width);
      return { ...output, shape: [count, ...output.shape.slice(1)], data };
    });
    from += count;
    return parts;
  });
}
