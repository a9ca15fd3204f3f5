import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";

/*
 * The least that a Node.js server can do for one inference: node:http, one thread with one session, the body handed over
 * without a copy, no protocol, no check, no statistics. What the agent takes beyond this is the agent's own.
 */

const shape = [1, 3, 240, 320];
const bodyBytes = 4 * 3 * 240 * 320;

async function runThread(path: string): Promise<void> {
  const options = { intraOpNumThreads: 1, extra: { session: { intra_op: { allow_spinning: "0" } } } };
  const session = await ort.InferenceSession.create(readFileSync(path), options);
  const infer = async (body: ArrayBuffer) => {
    const { score } = await session.run({ image: new ort.Tensor("float32", new Float32Array(body), shape) });
    parentPort?.postMessage([body, score?.data], [body]);
  };
  parentPort?.on("message", (body: ArrayBuffer) => void infer(body));
}

function serve(path: string): void {
  const thread = new Worker(new URL(import.meta.url), { workerData: path });
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
      thread.once("message", ([used, score]: [ArrayBuffer, Float32Array]) => {
        spare.push(used);
        response.writeHead(200, { "content-length": score.byteLength });
        response.end(Buffer.from(score.buffer, score.byteOffset, score.byteLength));
      });
      thread.postMessage(memory, [memory]);
    });
  });
  server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
}

if (isMainThread) serve(process.argv[2] ?? "");
else await runThread(String(workerData));
