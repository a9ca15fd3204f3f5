import { encodeStrings } from "../string-data.ts";
import { toElementCount, type Datatype, type Tensor } from "../tensor.ts";
import { ProtocolError } from "./protocol-error.ts";

/**
 * Most values of one answer among which classes are looked for. They are sorted on the thread that reads everybody's requests,
 * which takes 0.1 s for so many.
 */
export const maxClassifiedValues = 131_072;

const noClasses: readonly Datatype[] = ["BOOL", "BYTES", "FP16", "BF16"];

/**
 * Triton's classification extension: the `count` highest values of each row, highest first, as "value:index" or
 * "value:index:label". A row is what lies behind the first dimension, which is the batch here; a tensor of rank 0 or 1 is one.
 * @param labels by index; what is beyond them has none
 * @returns BYTES [rows, count], or [count] for one row of rank 0 or 1, with fewer classes where there are not so many
 * @throws ProtocolError `not_supported`
 */
export function toClasses(output: Tensor, count: number, labels: readonly string[]): Tensor {
  const { name, datatype, shape } = output;
  if (noClasses.includes(datatype))
    throw new ProtocolError("not_supported", `output '${name}': no classes of a tensor of ${datatype}`);
  const elements = toElementCount(shape);
  const batched = shape.length > 1;
  const rows = batched ? (shape[0] ?? 0) : 1;
  const width = rows === 0 ? 0 : elements / rows;
  const classes = Math.min(count, width);
  const data = readNumbers(output);
  const texts: string[] = [];
  for (let row = 0; row < rows; row += 1) {
    const values = data.slice(row * width, (row + 1) * width);
    const order = values.map((_, index) => index).toSorted((left, right) => compare(values[left], values[right]));
    for (const index of order.slice(0, classes)) {
      const label = labels[index];
      texts.push(`${toText(values[index])}:${index}${label === undefined ? "" : `:${label}`}`);
    }
  }
  return { name, datatype: "BYTES", shape: batched ? [rows, classes] : [classes], data: encodeStrings(texts) };
}

type Value = number | bigint;

function readNumbers({ data }: Tensor): readonly Value[] {
  return Array.from<Value>(data as ArrayLike<Value>);
}

/** Descending; not-a-number last, equal ones by index, since the sort is stable. */
function compare(left: Value = 0, right: Value = 0): number {
  if (left > right) return -1;
  if (left < right) return 1;
  return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
}

/** Six digits after the point, as C++'s to_string, with which Triton writes them. */
function toText(value: Value = 0): string {
  if (typeof value === "bigint" || Number.isInteger(value)) return String(value);
  return Number.isFinite(value) ? value.toFixed(6) : String(value);
}
