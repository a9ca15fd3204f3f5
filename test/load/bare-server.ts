import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";

/*
 * The least that a Node.js server can do for one inference: node:http, one session on a thread of its own or in place, the
 * body handed over without a copy, no protocol, no check, no statistics. What the agent takes beyond this is the agent's own.
 */

/** What `fork` is given: a file whose only input, `image`, is float32 of this shape. */
export interface BareModel {
  readonly path: string;
  readonly shape: readonly number[];
  /** Runs where requests are read, as the agent does for a lone client of a small model. */
  readonly inPlace?: boolean;
}

type Answer = readonly [body: ArrayBuffer, score: Float32Array];
type Infer = (body: ArrayBuffer) => Promise<Answer>;

async function openSession({ path, shape }: BareModel): Promise<Infer> {
  const options = { intraOpNumThreads: 1, extra: { session: { intra_op: { allow_spinning: "0" } } } };
  const session = await ort.InferenceSession.create(readFileSync(path), options);
  return async (body) => {
    const results = await session.run({ image: new ort.Tensor("float32", new Float32Array(body), shape) });
    return [body, results[session.outputNames[0] ?? ""]?.data as Float32Array];
  };
}

async function runThread(model: BareModel): Promise<void> {
  const infer = await openSession(model);
  parentPort?.on("message", (body: ArrayBuffer) => {
    void infer(body).then((answer) => parentPort?.postMessage(answer, [body]));
  });
}

function openThread(model: BareModel): Infer {
  const thread = new Worker(new URL(import.meta.url), { workerData: model });
  /** Answers come in the order of the requests. */
  const waiting: ((answer: Answer) => void)[] = [];
  thread.on("message", (answer: Answer) => waiting.shift()?.(answer));
  return (body) =>
    new Promise((resolve) => {
      waiting.push(resolve);
      thread.postMessage(body, [body]);
    });
}

async function serve(model: BareModel): Promise<void> {
  const infer = model.inPlace === true ? await openSession(model) : openThread(model);
  const bodyBytes = 4 * model.shape.reduce((product, dimension) => product * dimension, 1);
  const spare: ArrayBuffer[] = [];
  const server = createServer({ noDelay: true }, (request, response) => {
    const memory = spare.pop() ?? new ArrayBuffer(bodyBytes);
    const body = Buffer.from(memory);
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      body.set(chunk, length);
      length += chunk.length;
    });
    request.on("end", () => {
      void infer(memory).then(([used, score]) => {
        spare.push(used);
        response.writeHead(200, { "content-length": score.byteLength });
        response.end(Buffer.from(score.buffer, score.byteOffset, score.byteLength));
      });
    });
  });
  server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
}

if (isMainThread) await serve(JSON.parse(process.argv[2] ?? "") as BareModel);
else await runThread(workerData as BareModel);
