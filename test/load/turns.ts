import { callsPerTurn } from "./measure.ts";
import { toHttpRequest, type RawConnection } from "./raw-client.ts";

/** Does the work so many times and gives the milliseconds of each. */
export type TimedWork = (times: number) => Promise<number[]>;

export function toTimed(work: () => Promise<void>): TimedWork {
  return async (count) => {
    const times: number[] = [];
    for (let turn = 0; turn < count; turn += 1) {
      const startedAt = performance.now();
      await work();
      times.push(performance.now() - startedAt);
    }
    return times;
  };
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

/** Rounds that are not counted: a camera's loop is measured as it is after its first minute, 1,800 frames, not in it. */
const warmUpRounds = 60;
const countedRounds = 60;

/** Times of each work in milliseconds, a turn of one after a turn of another, so that all meet the same noise. */
export async function timeInTurns(works: readonly TimedWork[]): Promise<number[][]> {
  const times: number[][] = works.map(() => []);
  for (let round = -warmUpRounds; round < countedRounds; round += 1) {
    for (const [index, work] of works.entries()) {
      const measured = await work(callsPerTurn);
      if (round >= 0) times[index]?.push(...measured);
    }
  }
  return times;
}
