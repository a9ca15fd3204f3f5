import { convModel } from "@fairlead/inference/testing";
import * as ort from "onnxruntime-node";
import { toQuantile, type Row } from "./measure.ts";
import { RawConnection } from "./raw-client.ts";
import { ServingProcess } from "./serving-process.ts";
import { timeInTurns, toBinaryRequest, toSender } from "./turns.ts";

const shape = [1, 3, 32, 32];
const elements = 3 * 32 * 32;

/** A model that takes about 5 ms for 12 kB of input: what is left of the overhead is hops, not copies. */
export async function benchSmallInput(): Promise<Row> {
  const model = convModel({ height: 32, width: 32, channels: 64, depth: 8 });
  const options = { intraOpNumThreads: 1, extra: { session: { intra_op: { allow_spinning: "0" } } } };
  const session = await ort.InferenceSession.create(model, options);
  await using serving = await new ServingProcess().start();
  await serving.serve("conv", model);
  const pixels = Float32Array.from({ length: elements }, (_, index) => (index % 255) / 255);
  const direct = async () => void (await session.run({ image: new ort.Tensor("float32", pixels, shape) }));
  const request = toBinaryRequest(shape, Buffer.from(pixels.buffer));
  const overHttp = toSender(new RawConnection("127.0.0.1", serving.port), request);
  const times = await timeInTurns([direct, overHttp], 30);
  const [directMs = Number.NaN, httpMs = Number.NaN] = times.map((of) => toQuantile(of, 0.5));
  return {
    name: "one inference over HTTP, binary tensors, 12 kB in, p50",
    value: `${httpMs.toFixed(2)} ms`,
    against: `${directMs.toFixed(2)} ms session.run() in one process`,
    ratio: (httpMs / directMs).toFixed(3),
    bound: "≤ 1.08",
    held: httpMs / directMs <= 1.08,
  };
}
