import * as ort from "onnxruntime-node";
import type { DirectModel } from "./direct-process.ts";
import { toTimed, type TimedWork } from "./turns.ts";

/* What a request is held against: the session, called where nothing is between. Settings are those of the serving process. */

let time: TimedWork = () => Promise.resolve([]);

async function open({ model, shape, pixels }: DirectModel): Promise<TimedWork> {
  const options = { intraOpNumThreads: 1, extra: { session: { intra_op: { allow_spinning: "0" } } } };
  const session = await ort.InferenceSession.create(model, options);
  return toTimed(async () => void (await session.run({ image: new ort.Tensor("float32", pixels, shape) })));
}

process.on("message", (question: DirectModel | number) => {
  const answer = async (): Promise<number[]> => {
    if (typeof question === "number") return await time(question);
    time = await open(question);
    return [];
  };
  void answer().then((times) => process.send?.(times));
});
