import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { digitModelPath, loadDigits, toInferRequest } from "../support/digits.ts";
import { DirectProcess } from "./direct-process.ts";
import { imageModel, imagePixels, imageShape } from "./bench-models.ts";
import { forkBareServer } from "./fork-bare-server.ts";
import { toQuantile, toQuotientRow, type Row } from "./measure.ts";
import { keepOnOneProcessor } from "./one-processor.ts";
import { RawConnection, toHttpRequest } from "./raw-client.ts";
import { ServingProcess } from "./serving-process.ts";
import { timeInTurns, toBinaryRequest, toSender, toTimed } from "./turns.ts";

/**
 * A model of the cost of a small face detector (some 5 ms) with an input of 0.9 MB: direct call, the agent's endpoint and the
 * barest possible server in turns, on one processor.
 */
export async function benchOverhead(): Promise<Row[]> {
  using direct = new DirectProcess();
  keepOnOneProcessor(direct.pid);
  await direct.open({ model: imageModel, shape: imageShape, pixels: imagePixels });
  await using serving = await new ServingProcess().start();
  const path = await serving.serve("conv", imageModel);
  // An endpoint of its own: each client is the only one of its endpoint, as one camera is.
  await using sharing = await new ServingProcess().start({ sharedMemory: true });
  await sharing.serve("conv", imageModel);
  using bare = await forkBareServer({ path, shape: imageShape });
  for (const { pid } of [serving, sharing, bare]) keepOnOneProcessor(pid);
  const bytes = Buffer.from(imagePixels.buffer);
  const overHttp = toSender(new RawConnection("127.0.0.1", serving.port), toBinaryRequest(imageShape, bytes));
  const overBare = toSender(new RawConnection("127.0.0.1", bare.port), toHttpRequest("/", {}, bytes));
  using frame = new SharedFrame();
  await frame.register(sharing.port, bytes);
  const overShared = frame.toSender(new RawConnection("127.0.0.1", sharing.port), bytes);
  const works = [direct.time, ...[overHttp, overBare, overShared].map(toTimed)];
  const [directly, http, barely, shared] = (await timeInTurns(works)) as [number[], number[], number[], number[]];
  const against = { times: directly, what: "session.run() in one process" };
  return [
    toQuotientRow({
      name: "one inference over HTTP, binary tensors, 0.9 MB in, p50",
      ...{ times: http, against, atMost: 1.15 },
    }),
    toQuotientRow({
      name: "the same with the 0.9 MB in shared memory, writing it included (for information)",
      ...{ times: shared, against, atMost: null },
    }),
    toQuotientRow({
      name: "the same through a bare node:http server with one thread, no protocol (for information)",
      ...{ times: barely, against, atMost: null },
    }),
    toQuotientRow({
      name: "what the agent's endpoint costs beyond that bare server",
      ...{ times: http, against: { times: barely, what: "bare server" }, atMost: 1.08 },
    }),
  ];
}

/** A shared memory object that a client writes each frame to, and its requests name. */
class SharedFrame implements Disposable {
  readonly #key = `fairlead-bench-${process.pid}`;
  readonly #descriptor = openSync(`/dev/shm/${this.#key}`, "wx+", 0o600);

  async register(port: number, bytes: Buffer): Promise<void> {
    writeSync(this.#descriptor, bytes, 0, bytes.length, 0);
    const url = `http://127.0.0.1:${port}/v2/systemsharedmemory/region/frame/register`;
    const body = JSON.stringify({ key: `/${this.#key}`, offset: 0, byte_size: bytes.length });
    const answer = await fetch(url, { method: "POST", body });
    if (!answer.ok) throw new Error(`the region was refused: ${await answer.text()}`);
  }

  /** Writes the frame anew each time: that copy is part of the price. */
  toSender(connection: RawConnection, bytes: Buffer): () => Promise<void> {
    const parameters = { shared_memory_region: "frame", shared_memory_byte_size: bytes.length };
    const body = JSON.stringify({
      inputs: [{ name: "image", shape: imageShape, datatype: "FP32", parameters }],
      outputs: [{ name: "score", parameters: { binary_data: true } }],
    });
    const request = toHttpRequest("/v2/models/conv/infer", { "content-type": "application/json" }, Buffer.from(body));
    const send = toSender(connection, request);
    return async () => {
      writeSync(this.#descriptor, bytes, 0, bytes.length, 0);
      await send();
    };
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
    rmSync(`/dev/shm/${this.#key}`);
  }
}

/**
 * The 20 µs digit reader at 16 connections, load generator on the same cores: its slot joins the rows of requests that wait,
 * or runs each by itself; beside them the barest server, in turns. A call of the runtime costs more than such a run.
 */
export async function benchThroughput(): Promise<Row[]> {
  const model = readFileSync(digitModelPath("digit-reader-1.1.0-int8.onnx"));
  await using serving = await new ServingProcess().start();
  const path = await serving.serve("joined", model, { maxBatchSize: 16 });
  await serving.serve("single", model);
  using bare = await forkBareServer({ path, shape: [1, 1, 8, 8] });
  const digits = loadDigits("test");
  const connect = (name: string) =>
    new SixteenConnections(
      serving.port,
      digits.map((digit) => {
        const { body, headers } = toInferRequest(digit);
        return toHttpRequest(`/v2/models/${name}/infer`, headers, body);
      }),
    );
  const barest = new SixteenConnections(
    bare.port,
    digits.map(({ pixels }) => toHttpRequest("/", {}, Buffer.from(Float32Array.from(pixels).buffer))),
  );
  const loads = [connect("joined"), connect("single"), barest];
  for (const load of loads) await load.run(1_500);
  const rates: number[][] = loads.map(() => []);
  for (let turn = 0; turn < 5; turn += 1)
    for (const [index, load] of loads.entries()) rates[index]?.push(await load.run(1_500));
  const [joined, single, bareRate] = rates.map((of) => Math.round(toQuantile(of, 0.5))) as [number, number, number];
  for (const load of loads) load.close();
  const toRow = (
    name: string,
    perSecond: number,
    against: { readonly rate: number; readonly binds: boolean },
  ): Row => ({
    ...{ name, value: `${perSecond} requests/s`, against: `${against.rate} requests/s` },
    ...{ ratio: (perSecond / against.rate).toFixed(2), bound: against.binds ? "≥ 1" : "no bound" },
    held: !against.binds || perSecond >= against.rate,
  });
  const wanted = { rate: 8_000, binds: true };
  const barely = { rate: bareRate, binds: false };
  return [
    toRow("digit reader over HTTP, 16 connections", single, wanted),
    toRow("the same beside a bare node:http server with one thread, no protocol (for information)", single, barely),
    toRow("digit reader over HTTP, 16 connections, rows joined", joined, wanted),
    toRow("the same beside that bare server (for information)", joined, barely),
  ];
}

class SixteenConnections {
  readonly #requests: readonly Buffer[];
  readonly #connections: readonly RawConnection[];

  constructor(port: number, requests: readonly Buffer[]) {
    this.#requests = requests;
    this.#connections = Array.from({ length: 16 }, () => new RawConnection("127.0.0.1", port));
  }

  /** @returns answers per second */
  async run(durationMs: number): Promise<number> {
    const endAt = performance.now() + durationMs;
    let answered = 0;
    const drive = async (connection: RawConnection, first: number) => {
      for (let index = first; performance.now() < endAt; index += 1) {
        const status = await connection.send(this.#requests[index % this.#requests.length] as Buffer);
        if (status !== 200) throw new Error(`the server answered ${status}`);
        answered += 1;
      }
    };
    await Promise.all(this.#connections.map((connection, index) => drive(connection, index * 31)));
    return answered / (durationMs / 1_000);
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}
