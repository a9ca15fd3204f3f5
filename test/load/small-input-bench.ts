import { DirectProcess } from "./direct-process.ts";
import { openFiveMsModel } from "./five-ms-model.ts";
import { toQuantile, toQuotientRow, type Row } from "./measure.ts";
import { forkBareServer } from "./fork-bare-server.ts";
import { keepOnOneProcessor } from "./one-processor.ts";
import { RawConnection, toHttpRequest } from "./raw-client.ts";
import { ServingProcess } from "./serving-process.ts";
import { timeInTurns, toBinaryRequest, toPolling, toSender, toTimed } from "./turns.ts";

const shape = [1, 3, 32, 32];
const elements = 3 * 32 * 32;

const candidates = [8, 9, 10, 11, 12, 13, 14, 16, 18].map((depth) => ({ height: 32, width: 32, channels: 64, depth }));

/** A model that takes 5 ms for 12 kB of input: what is left of the overhead is hops, not copies. */
export async function benchSmallInput(): Promise<Row[]> {
  const pixels = Float32Array.from({ length: elements }, (_, index) => (index % 255) / 255);
  using direct = new DirectProcess();
  keepOnOneProcessor(direct.pid);
  const model = await openFiveMsModel(direct, candidates, { shape, pixels });
  await using serving = await new ServingProcess().start();
  const path = await serving.serve("conv", model);
  using bare = await forkBareServer({ path, shape, inPlace: true });
  for (const { pid } of [serving, bare]) keepOnOneProcessor(pid);
  const bytes = Buffer.from(pixels.buffer);
  const request = toBinaryRequest(shape, bytes);
  const overHttp = toSender(new RawConnection("127.0.0.1", serving.port), request);
  const overBare = toSender(new RawConnection("127.0.0.1", bare.port), toHttpRequest("/", {}, bytes));
  const works = [direct.time, ...[overHttp, toPolling(overHttp), overBare].map(toTimed)];
  const times = await timeInTurns(works, 20);
  const [directMs, sleepingMs, pollingMs, bareMs] = times.map((of) => toQuantile(of, 0.5)) as [
    number,
    number,
    number,
    number,
  ];
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
    toQuotientRow({
      name: "the same through a bare node:http server that runs in place, no protocol (for information)",
      ...{ ms: bareMs, against, atMost: null },
    }),
  ];
}
