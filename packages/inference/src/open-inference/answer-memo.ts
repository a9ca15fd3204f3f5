import type { Tensor } from "../tensor.ts";
import type { InferRequest } from "./infer-request.ts";
import type { InferResponse } from "./infer-response.ts";

type Wanted = Pick<InferRequest, "id" | "outputs">;

interface Kept {
  readonly wanted: Wanted;
  readonly json: Uint8Array;
  /** Of the wanted outputs, in their order. */
  readonly parts: readonly { readonly place: number; readonly shape: readonly number[]; readonly byteLength: number }[];
}

const isSameShape = (left: readonly number[], right: readonly number[]): boolean =>
  left.length === right.length && left.every((size, axis) => size === right[axis]);

/**
 * The JSON of the last answer, for the next request that `RequestMemo` found to say the same: with outputs of the same
 * shapes, only the tensors behind the JSON are new. One per model.
 */
export class AnswerMemo {
  #kept: Kept | null = null;

  /** The answer, when it differs from the one that was kept in its binary tensors alone; else null. */
  recall(wanted: Wanted, outputs: readonly Tensor[]): InferResponse | null {
    const kept = this.#kept;
    if (kept === null || kept.wanted.outputs !== wanted.outputs || kept.wanted.id !== wanted.id) return null;
    const parts = [kept.json];
    let totalBytes = kept.json.length;
    for (const { place, shape, byteLength } of kept.parts) {
      const output = outputs[place];
      if (output === undefined || output.data.byteLength !== byteLength || !isSameShape(output.shape, shape))
        return null;
      parts.push(new Uint8Array(output.data.buffer, output.data.byteOffset, byteLength));
      totalBytes += byteLength;
    }
    return { parts, totalBytes, jsonBytes: kept.json.length };
  }

  /** To be called with what was answered. Keeps it when everything but the JSON is the model's own outputs as they are. */
  keep(wanted: Wanted, outputs: readonly Tensor[], { parts: [json, ...binaries], jsonBytes }: InferResponse): void {
    if (json === undefined || jsonBytes === null || binaries.length !== wanted.outputs.length) return;
    const parts: Kept["parts"][number][] = [];
    for (const [index, { buffer, byteOffset, byteLength }] of binaries.entries()) {
      const { name } = wanted.outputs[index] ?? {};
      const place = outputs.findIndex((output) => output.name === name);
      const { data, shape } = outputs[place] ?? {};
      if (shape === undefined || data?.buffer !== buffer || data.byteOffset !== byteOffset) return;
      if (data.byteLength !== byteLength) return;
      parts.push({ place, shape, byteLength });
    }
    this.#kept = { wanted: { id: wanted.id, outputs: wanted.outputs }, json, parts };
  }
}
