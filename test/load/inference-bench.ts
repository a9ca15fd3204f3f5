import { readFileSync } from "node:fs";
import { convModel } from "@fairlead/inference/testing";
import * as ort from "onnxruntime-node";
import { digitModelPath, loadDigits, toInferRequest } from "../support/digits.ts";
import { toQuantile, type Row } from "./measure.ts";
import { RawConnection, toHttpRequest } from "./raw-client.ts";
import { ServingProcess } from "./serving-process.ts";

const shape = [1, 3, 240, 320];
const elements = 3 * 240 * 320;

/** A model of about 5 ms with an input of 0.9 MB: direct call and HTTP in turns, so that both meet the same noise. */
export async function benchOverhead(): Promise<Row> {
  const model = convModel({ height: 240, width: 320, channels: 8, depth: 1 });
  const options = { intraOpNumThreads: 1, extra: { session: { intra_op: { allow_spinning: "0" } } } };
  const session = await ort.InferenceSession.create(model, options);
  await using serving = await new ServingProcess().start();
  await serving.serve("conv", model);
  const pixels = Float32Array.from({ length: elements }, (_, index) => (index % 255) / 255);
  const bytes = Buffer.from(pixels.buffer);
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
  const request = toHttpRequest("/v2/models/conv/infer", headers, Buffer.concat([header, bytes]));
  const connection = new RawConnection("127.0.0.1", serving.port);
  const direct: number[] = [];
  const http: number[] = [];
  for (let round = 0; round < 220; round += 1) {
    const startedAt = performance.now();
    await session.run({ image: new ort.Tensor("float32", pixels, shape) });
    const between = performance.now();
    const status = await connection.send(request);
    const endedAt = performance.now();
    if (status !== 200) throw new Error(`the serving process answered ${status}`);
    if (round < 20) continue;
    direct.push(between - startedAt);
    http.push(endedAt - between);
  }
  connection.close();
  const [directMs, httpMs] = [toQuantile(direct, 0.5), toQuantile(http, 0.5)];
  return {
    name: "one inference over HTTP, binary tensors, 0.9 MB in, p50",
    value: `${httpMs.toFixed(2)} ms`,
    against: `${directMs.toFixed(2)} ms session.run() in one process`,
    ratio: (httpMs / directMs).toFixed(3),
    bound: "≤ 1.15",
    held: httpMs / directMs <= 1.15,
  };
}

/** The 20 µs digit reader at 16 connections, load generator on the same cores. */
export async function benchThroughput(): Promise<Row> {
  await using serving = await new ServingProcess().start();
  await serving.serve("digit-reader", readFileSync(digitModelPath("digit-reader-1.1.0-int8.onnx")));
  const requests = loadDigits("test").map((digit) => {
    const { body, headers } = toInferRequest(digit);
    return toHttpRequest("/v2/models/digit-reader/infer", headers, body);
  });
  const connections = Array.from({ length: 16 }, () => new RawConnection("127.0.0.1", serving.port));
  const run = async (durationMs: number): Promise<number> => {
    const endAt = performance.now() + durationMs;
    let answered = 0;
    const drive = async (connection: RawConnection, first: number) => {
      for (let index = first; performance.now() < endAt; index += 1) {
        const status = await connection.send(requests[index % requests.length] as Buffer);
        if (status !== 200) throw new Error(`the serving process answered ${status}`);
        answered += 1;
      }
    };
    await Promise.all(connections.map((connection, index) => drive(connection, index * 31)));
    return answered / (durationMs / 1_000);
  };
  await run(2_000);
  const perSecond = await run(5_000);
  for (const connection of connections) connection.close();
  return {
    name: "digit reader over HTTP, 16 connections",
    value: `${Math.round(perSecond)} requests/s`,
    against: "8,000 requests/s",
    ratio: (perSecond / 8_000).toFixed(2),
    bound: "≥ 1",
    held: perSecond >= 8_000,
  };
}
