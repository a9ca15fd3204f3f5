import { convModel } from "@fairlead/inference/testing";
import { toQuantile, toQuotientRow, type Row } from "./measure.ts";
import { RawConnection } from "./raw-client.ts";
import { ServingProcess } from "./serving-process.ts";
import { openDirect, timeInTurns, toBinaryRequest, toPolling, toSender } from "./turns.ts";

const shape = [1, 3, 32, 32];
const elements = 3 * 32 * 32;

/** A model that takes about 5 ms for 12 kB of input: what is left of the overhead is hops, not copies. */
export async function benchSmallInput(): Promise<Row[]> {
  const model = convModel({ height: 32, width: 32, channels: 64, depth: 8 });
  await using serving = await new ServingProcess().start();
  await serving.serve("conv", model);
  const pixels = Float32Array.from({ length: elements }, (_, index) => (index % 255) / 255);
  const runDirectly = await openDirect(model, { shape, pixels });
  const request = toBinaryRequest(shape, Buffer.from(pixels.buffer));
  const overHttp = toSender(new RawConnection("127.0.0.1", serving.port), request);
  const times = await timeInTurns([runDirectly, overHttp, toPolling(overHttp)], 60);
  const [directMs, sleepingMs, pollingMs] = times.map((of) => toQuantile(of, 0.5)) as [number, number, number];
  const against = { ms: directMs, what: "session.run() in one process" };
  return [
    toQuotientRow({
      name: "one inference over HTTP, binary tensors, 12 kB in, p50",
      ...{ ms: sleepingMs, against, atMost: 1.08 },
    }),
    toQuotientRow({
      name: "the same by a client that polls for its answer (for information)",
      ...{ ms: pollingMs, against, atMost: null },
    }),
  ];
}
