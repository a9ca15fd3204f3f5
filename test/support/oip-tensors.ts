/* Tensors of the Open Inference Protocol as bytes and as JSON, written from the protocol's text for oip-server.ts alone. */

const arrays: Readonly<Record<string, (buffer: ArrayBuffer) => ArrayBufferView & ArrayLike<number | bigint>>> = {
  UINT16: (buffer) => new Uint16Array(buffer),
  UINT32: (buffer) => new Uint32Array(buffer),
  UINT64: (buffer) => new BigUint64Array(buffer),
  INT8: (buffer) => new Int8Array(buffer),
  INT16: (buffer) => new Int16Array(buffer),
  INT32: (buffer) => new Int32Array(buffer),
  INT64: (buffer) => new BigInt64Array(buffer),
  // Bit patterns.
  FP16: (buffer) => new Uint16Array(buffer),
  FP32: (buffer) => new Float32Array(buffer),
  FP64: (buffer) => new Float64Array(buffer),
};

/** BOOL and UINT8 are their bytes. */
export function toTyped(datatype: string, bytes: Uint8Array<ArrayBuffer>): ArrayLike<number | bigint> {
  return arrays[datatype]?.(bytes.buffer) ?? bytes;
}

/** Strings in the form of the binary tensor extension: a little-endian 32-bit length before each. */
export function toStrings(texts: readonly string[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    texts.flatMap((text) => {
      const head = Buffer.alloc(4);
      head.writeUInt32LE(Buffer.byteLength(text));
      return [...head, ...Buffer.from(text)];
    }),
  );
}

export function fromStrings(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes);
  const texts: string[] = [];
  for (let offset = 0; offset < buffer.length;) {
    const end = offset + 4 + buffer.readUInt32LE(offset);
    texts.push(buffer.toString("utf8", offset + 4, end));
    offset = end;
  }
  return texts;
}

interface Place {
  readonly text: string;
  readonly index: number;
}

/** The reviver alone is told how a number was written, which 64-bit integers need. It is slow, and nobody waits for it here. */
function readExact({ text, index }: Place): readonly unknown[] {
  const exact = JSON.parse(text, (_key, value: unknown, ...[context]: readonly { readonly source?: string }[]) =>
    typeof value === "number" && /^-?\d+$/u.test(context?.source ?? "") ? BigInt(context?.source ?? 0) : value,
  ) as { readonly inputs: readonly { readonly data: readonly unknown[] }[] };
  return exact.inputs[index]?.data ?? [];
}

export function fromJson(datatype: string, data: unknown, place: Place): Uint8Array<ArrayBuffer> {
  const values = (Array.isArray(data) ? data : []).flat(Infinity) as (number | boolean | string)[];
  switch (datatype) {
    case "BYTES":
      return toStrings(values.map(String));
    case "INT64":
    case "UINT64":
      return new Uint8Array(BigUint64Array.from(readExact(place).flat(Infinity) as bigint[]).buffer);
    case "FP16":
      return new Uint8Array(Float16Array.from(values.map(Number)).buffer);
    default: {
      const typed = toTyped(datatype, new Uint8Array(values.length * 8)) as Float64Array;
      const filled = (typed.constructor as typeof Float64Array).from(values.map(Number));
      return new Uint8Array(filled.buffer);
    }
  }
}

interface Part {
  readonly datatype: string;
  readonly bytes: Uint8Array;
}

function toValues({ datatype, bytes }: Part): string {
  const own = Uint8Array.from(bytes);
  if (datatype === "BYTES") return JSON.stringify(fromStrings(own));
  if (datatype === "BOOL") return JSON.stringify([...own].map((byte) => byte !== 0));
  if (datatype === "FP16") return `[${[...new Float16Array(own.buffer)].join(",")}]`;
  return `[${Array.from(toTyped(datatype, own)).join(",")}]`;
}

/** The answer with the data of each output in it; text, since a 64-bit integer is no number of JSON.stringify. */
export function toJson(document: { readonly outputs: readonly unknown[] }, parts: readonly Part[]): string {
  const outputs = document.outputs.map((output, index) => {
    const part = parts[index];
    const head = JSON.stringify(output);
    return part === undefined ? head : `${head.slice(0, -1)},"data":${toValues(part)}}`;
  });
  return `${JSON.stringify({ ...document, outputs: [] }).slice(0, -3)}[${outputs.join(",")}]}`;
}
