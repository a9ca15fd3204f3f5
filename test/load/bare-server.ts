import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";

/*
 * The least that a Node.js server can do for one inference: node:http, one thread with one session, the body handed over
 * without a copy, no protocol, no check, no statistics. What the agent takes beyond this is the agent's own.
 */

/** What `fork` is given: a file whose only input, `image`, is float32 of this shape. */
export interface BareModel {
  readonly path: string;
  readonly shape: readonly number[];
}

async function runThread({ path, shape }: BareModel): Promise<void> {
  const options = { intraOpNumThreads: 1, extra: { session: { intra_op: { allow_spinning: "0" } } } };
  const session = await ort.InferenceSession.create(readFileSync(path), options);
  const infer = async (body: ArrayBuffer) => {
    const results = await session.run({ image: new ort.Tensor("float32", new Float32Array(body), shape) });
    parentPort?.postMessage([body, results[session.outputNames[0] ?? ""]?.data], [body]);
  };
  parentPort?.on("message", (body: ArrayBuffer) => void infer(body));
}

function serve(model: BareModel): void {
  const thread = new Worker(new URL(import.meta.url), { workerData: model });
  const bodyBytes = 4 * model.shape.reduce((product, dimension) => product * dimension, 1);
  const spare: ArrayBuffer[] = [];
  /** Answers come in the order of the requests. */
  const waiting: ((answer: [ArrayBuffer, Float32Array]) => void)[] = [];
  thread.on("message", (answer: [ArrayBuffer, Float32Array]) => waiting.shift()?.(answer));
  const server = createServer({ noDelay: true }, (request, response) => {
    const memory = spare.pop() ?? new ArrayBuffer(bodyBytes);
    const body = Buffer.from(memory);
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      body.set(chunk, length);
      length += chunk.length;
    });
    request.on("end", () => {
      waiting.push(([used, score]) => {
        spare.push(used);
        response.writeHead(200, { "content-length": score.byteLength });
        response.end(Buffer.from(score.buffer, score.byteOffset, score.byteLength));
      });
      thread.postMessage(memory, [memory]);
    });
  });
  server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
}

if (isMainThread) serve(JSON.parse(process.argv[2] ?? "") as BareModel);
else await runThread(workerData as BareModel);
