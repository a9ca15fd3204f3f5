import { viewTensorData, type Datatype } from "../tensor.ts";
import type { InferRequest, RequestBody } from "./infer-request.ts";

/** A longer JSON part is read anew each time: the copy costs as much as it spares. */
const maxJsonBytes = 2_048;

interface Kept {
  readonly json: Uint8Array;
  readonly binaryBytes: number;
  readonly request: Omit<InferRequest, "inputs">;
  readonly inputs: readonly {
    readonly name: string;
    readonly datatype: Datatype;
    readonly shape: readonly number[];
    readonly byteLength: number;
  }[];
}

/**
 * What the last good binary request's JSON said, for the next one that says the same byte by byte: a camera repeats itself,
 * and only the tensors behind the JSON are new. One per model, since what is good depends on it.
 */
export class RequestMemo {
  #kept: Kept | null = null;

  /** The request with this body's tensors, when its JSON is the one that was kept and as many bytes follow; else null. */
  recall({ bytes, jsonBytes }: RequestBody): InferRequest | null {
    const kept = this.#kept;
    if (kept === null || jsonBytes !== kept.json.length || bytes.length - jsonBytes !== kept.binaryBytes) return null;
    if (Buffer.compare(bytes.subarray(0, jsonBytes), kept.json) !== 0) return null;
    let offset = jsonBytes;
    const inputs = kept.inputs.map(({ name, datatype, shape, byteLength }) => {
      const data = viewTensorData(datatype, bytes.subarray(offset, offset + byteLength));
      offset += byteLength;
      return { name, datatype, shape, data };
    });
    return { ...kept.request, inputs };
  }

  /**
   * To be called with what was found good. Keeps nothing whose values lie in the JSON, in shared memory or in strings, and
   * nothing whose outputs go to shared memory: whether a region takes them can change from one request to the next.
   */
  keep({ bytes, jsonBytes }: RequestBody, { inputs, ...request }: InferRequest): void {
    if (jsonBytes === null || jsonBytes === 0 || jsonBytes > maxJsonBytes) return;
    const binaryBytes = inputs.reduce((sum, { data }) => sum + data.byteLength, 0);
    if (binaryBytes !== bytes.length - jsonBytes || inputs.some(({ datatype }) => datatype === "BYTES")) return;
    if (request.outputs.some(({ instead }) => instead?.kind === "shared")) return;
    const heads = inputs.map(({ data, ...head }) => ({ ...head, byteLength: data.byteLength }));
    // A copy: the body's memory moves to the runtime's thread.
    this.#kept = { json: Buffer.from(bytes.subarray(0, jsonBytes)), binaryBytes, request, inputs: heads };
  }
}
