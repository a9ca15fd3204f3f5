import { DirectProcess } from "./direct-process.ts";
import { smallInputModel, smallPixels as pixels, smallShape as shape } from "./bench-models.ts";
import { toQuotientRow, type Row } from "./measure.ts";
import { forkBareServer } from "./fork-bare-server.ts";
import { keepOnOneProcessor } from "./one-processor.ts";
import { RawConnection, toHttpRequest } from "./raw-client.ts";
import { ServingProcess } from "./serving-process.ts";
import { timeInTurns, toBinaryRequest, toPolling, toSender, toTimed } from "./turns.ts";

/** A model of the same cost with 12 kB of input: what is left of the overhead is hops, not copies. */
export async function benchSmallInput(): Promise<Row[]> {
  using direct = new DirectProcess();
  keepOnOneProcessor(direct.pid);
  await direct.open({ model: smallInputModel, shape, pixels });
  await using serving = await new ServingProcess().start();
  const path = await serving.serve("conv", smallInputModel);
  using bare = await forkBareServer({ path, shape, inPlace: true });
  for (const { pid } of [serving, bare]) keepOnOneProcessor(pid);
  const bytes = Buffer.from(pixels.buffer);
  const request = toBinaryRequest(shape, bytes);
  const overHttp = toSender(new RawConnection("127.0.0.1", serving.port), request);
  const overBare = toSender(new RawConnection("127.0.0.1", bare.port), toHttpRequest("/", {}, bytes));
  const works = [direct.time, ...[overHttp, toPolling(overHttp), overBare].map(toTimed)];
  const [directly, sleeping, polling, barely] = (await timeInTurns(works)) as [number[], number[], number[], number[]];
  const against = { times: directly, what: "session.run() in one process" };
  return [
    toQuotientRow({
      name: "one inference over HTTP, binary tensors, 12 kB in, p50",
      ...{ times: sleeping, against, atMost: 1.08 },
    }),
    toQuotientRow({
      name: "the same by a client that polls for its answer (for information)",
      ...{ times: polling, against, atMost: null },
    }),
    toQuotientRow({
      name: "the same through a bare node:http server that runs in place, no protocol (for information)",
      ...{ times: barely, against, atMost: null },
    }),
  ];
}
