import * as ort from "onnxruntime-node";
import { toHttpRequest, type RawConnection } from "./raw-client.ts";

/** What a request is held against: the generated convolution's session, called in this process. */
export async function openDirect(
  model: Uint8Array,
  image: { readonly shape: readonly number[]; readonly pixels: Float32Array },
): Promise<() => Promise<void>> {
  const options = { intraOpNumThreads: 1, extra: { session: { intra_op: { allow_spinning: "0" } } } };
  const session = await ort.InferenceSession.create(model, options);
  return async () => void (await session.run({ image: new ort.Tensor("float32", image.pixels, image.shape) }));
}

/** A request to the generated convolution, named conv: its only input in binary, its only output too. */
export function toBinaryRequest(shape: readonly number[], bytes: Buffer): Buffer {
  const header = Buffer.from(
    JSON.stringify({
      inputs: [{ name: "image", shape, datatype: "FP32", parameters: { binary_data_size: bytes.length } }],
      outputs: [{ name: "score", parameters: { binary_data: true } }],
    }),
  );
  const headers = {
    "content-type": "application/octet-stream",
    "inference-header-content-length": String(header.length),
  };
  return toHttpRequest("/v2/models/conv/infer", headers, Buffer.concat([header, bytes]));
}

export function toSender(connection: RawConnection, request: Buffer): () => Promise<void> {
  return async () => {
    const status = await connection.send(request);
    if (status !== 200) throw new Error(`the server answered ${status}`);
  };
}

/** The same with a client that polls instead of sleeping: its own wake-up, 0.2 to 0.4 ms on a virtual machine, is not the agent's. */
export function toPolling(work: () => Promise<void>): () => Promise<void> {
  return async () => {
    let waiting = true;
    const poll = () => {
      if (waiting) setImmediate(poll);
    };
    poll();
    try {
      await work();
    } finally {
      waiting = false;
    }
  };
}

/**
 * Times of each work in milliseconds, ten of one after ten of another, so that all meet the same noise.
 * Rounds to warm up are not counted: a camera's loop is measured as it is after its first minute, not in it.
 */
export async function timeInTurns(
  works: readonly (() => Promise<void>)[],
  rounds: number,
  warmUpRounds = 80,
): Promise<number[][]> {
  const times: number[][] = works.map(() => []);
  for (let round = -warmUpRounds; round < rounds; round += 1) {
    for (const [index, work] of works.entries()) {
      for (let turn = 0; turn < 10; turn += 1) {
        const startedAt = performance.now();
        await work();
        if (round >= 0) times[index]?.push(performance.now() - startedAt);
      }
    }
  }
  return times;
}
