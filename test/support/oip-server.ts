import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { parseModelConfig, type TextMessage } from "./oip-model-config.ts";

/*
 * A second Open Inference Protocol server, as a process of its own. It is written from the protocol's text (version 2, with
 * the extensions for binary tensor data, model repository in explicit mode, and model configuration) and shares no code with
 * the client that is tested against it, so that both are checked against the text and not against each other. Like many
 * servers of vendors it ignores the end of its input and answers nothing while a model runs.
 */

const { values: args } = parseArgs({
  options: {
    socket: { type: "string" },
    port: { type: "string" },
    repository: { type: "string" },
    /** What goes wrong: one of the names below, with a number where it takes one ("late:500"). */
    fault: { type: "string", default: "" },
    /** The same from a file that is read again for each request, so that a running server can go bad. */
    "fault-file": { type: "string" },
    /** Loads what it finds when it is asked for it, as a server does that looks at its folder. */
    poll: { type: "boolean", default: false },
    "start-delay": { type: "string", default: "0" },
    /** Starts a process that does nothing, in its own group, and prints its id. */
    child: { type: "boolean", default: false },
  },
});
const repository = args.repository ?? "";

interface Served {
  readonly session: InferenceSession;
  readonly config: TextMessage;
}

interface Part {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

const models = new Map<string, Served>();
/** What "grow" keeps: a server that leaks as many MiB with each request. */
const leaked: Buffer[] = [];
let answered = 0;

function readFault(): { readonly name: string; readonly number: number } {
  let text = args.fault;
  try {
    if (args["fault-file"] !== undefined) text = readFileSync(args["fault-file"], "utf8").trim();
  } catch {
    text = args.fault;
  }
  const [name = "", number = "0"] = text.split(":");
  return { name, number: Number(number) };
}

const ortTypes: Readonly<Record<string, { readonly ort: Tensor.Type; readonly bytes: number }>> = {
  BOOL: { ort: "bool", bytes: 1 },
  UINT8: { ort: "uint8", bytes: 1 },
  INT8: { ort: "int8", bytes: 1 },
  INT32: { ort: "int32", bytes: 4 },
  INT64: { ort: "int64", bytes: 8 },
  FP32: { ort: "float32", bytes: 4 },
  FP64: { ort: "float64", bytes: 8 },
};
const oipTypes = new Map(Object.entries(ortTypes).map(([oip, { ort }]) => [ort, oip]));

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length }).end(body);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

interface Description {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

function describe(metadata: readonly InferenceSession.ValueMetadata[]): Description[] {
  return metadata.map((value) => {
    if (!value.isTensor) throw new Refusal(400, `${value.name} is no tensor`);
    const shape = value.shape.map((dimension) => (typeof dimension === "number" ? dimension : -1));
    return { name: value.name, datatype: oipTypes.get(value.type) ?? value.type, shape };
  });
}

/** Same names, types and ranks; what the runtime knows of a dimension may be more than the configuration says. */
function checkTensors(field: string, configured: readonly TextMessage[], real: readonly Description[]): void {
  const fits = real.map(({ name, datatype, shape }, index) => {
    const { name: [said] = [], data_type: [type] = [], dims = [] }: Partial<TextMessage> = configured[index] ?? {};
    const fitsAt = (size: number, axis: number) => dims[axis] === "-1" || dims[axis] === String(size);
    const sameShape = dims.length === shape.length && shape.every(fitsAt);
    return said === name && type === `TYPE_${datatype}` && sameShape;
  });
  if (configured.length !== real.length || fits.includes(false))
    throw new Error(
      `${field} of the configuration is ${JSON.stringify(configured)}, of the model ${JSON.stringify(real)}`,
    );
}

/** As Triton does: the folder's name is the model's, and the configuration must fit the file. */
async function loadModel(name: string): Promise<void> {
  const fault = readFault();
  if (fault.name === "load-late") await delay(fault.number);
  if (fault.name === "load-never") await new Promise(() => undefined);
  if (fault.name === "load-fails") throw new Refusal(400, `failed to load '${name}', no reason at all`);
  if (fault.name === "load-crashes") process.exit(7);
  try {
    const config = parseModelConfig(readFileSync(join(repository, name, "config.pbtxt"), "utf8"));
    if (config["name"]?.[0] !== name) throw new Error("the configuration is of another model");
    const bytes = readFileSync(join(repository, name, "1", "model.onnx"));
    const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 4 });
    for (const [field, metadata] of [
      ["input", session.inputMetadata],
      ["output", session.outputMetadata],
    ] as const) {
      checkTensors(field, (config[field] ?? []) as TextMessage[], describe(metadata));
    }
    models.set(name, { session, config });
  } catch (error) {
    throw new Refusal(400, `failed to load '${name}', ${String(error)}`);
  }
}

async function findModel(name: string): Promise<Served> {
  if (args.poll && !models.has(name)) await loadModel(name);
  const found = models.get(name);
  if (found === undefined) throw new Refusal(400, `Request for unknown model: '${name}' is not found`);
  return found;
}

function toMetadata(name: string, { session }: Served): Record<string, unknown> {
  const metadata = {
    name,
    versions: ["1"],
    platform: "onnxruntime_onnx",
    inputs: describe(session.inputMetadata),
    outputs: describe(session.outputMetadata),
  };
  const fault = readFault();
  if (fault.name === "other-metadata")
    return { ...metadata, inputs: [{ name: "z", datatype: "FP32", shape: [-1, 4] }] };
  if (fault.name === "other-type") return { ...metadata, outputs: [{ name: "y", datatype: "INT64", shape: [-1, 4] }] };
  return metadata;
}

interface InferRequest {
  readonly id?: string;
  readonly inputs: readonly {
    readonly name: string;
    readonly datatype: string;
    readonly shape: readonly number[];
    readonly parameters?: { readonly binary_data_size?: number };
    readonly data?: readonly number[];
  }[];
}

function toFeeds(body: Buffer, headerLength: number, request: InferRequest): Record<string, Tensor> {
  let offset = headerLength;
  const feeds: Record<string, Tensor> = {};
  for (const { name, datatype, shape, parameters, data } of request.inputs) {
    const type = ortTypes[datatype];
    if (type === undefined) throw new Refusal(400, `no datatype ${datatype}`);
    const size = parameters?.binary_data_size;
    if (size === undefined) {
      feeds[name] = new Tensor("float32", Float32Array.from(data ?? []), shape);
      continue;
    }
    const bytes = Uint8Array.from(body.subarray(offset, offset + size));
    offset += size;
    if (bytes.length !== size) throw new Refusal(400, `unexpected end of input '${name}'`);
    const typed: Readonly<Record<string, () => Tensor.DataType>> = {
      FP32: () => new Float32Array(bytes.buffer),
      FP64: () => new Float64Array(bytes.buffer),
      INT64: () => new BigInt64Array(bytes.buffer),
      INT32: () => new Int32Array(bytes.buffer),
      INT8: () => new Int8Array(bytes.buffer),
    };
    feeds[name] = new Tensor(type.ort, typed[datatype]?.() ?? bytes, shape);
  }
  if (offset !== body.length) throw new Refusal(400, `unexpected additional input data`);
  return feeds;
}

async function infer(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const served = await findModel(name);
  const body = await readBody(request);
  const header = request.headers["inference-header-content-length"];
  const headerLength = header === undefined ? body.length : Number(header);
  const asked = JSON.parse(body.subarray(0, headerLength).toString()) as InferRequest;
  const fault = readFault();
  if (fault.name === "crash" && answered >= fault.number) process.kill(process.pid, "SIGKILL");
  if (fault.name === "never") return;
  if (fault.name === "grow") leaked.push(Buffer.alloc(fault.number * 1_048_576, 1));
  if (fault.name === "late") await delay(fault.number);
  if (fault.name === "error") throw new Refusal(500, "the device has fallen off the bus");
  let results: InferenceSession.OnnxValueMapType;
  try {
    results = await served.session.run(toFeeds(body, headerLength, asked));
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(400, `onnx runtime error: ${String(error)}`);
  }
  const parts = served.session.outputNames.map((output): Part => {
    const { type, dims, data } = results[output] as Tensor;
    const typed = data as Float32Array;
    const bytes = Buffer.from(typed.buffer, typed.byteOffset, typed.byteLength);
    return { name: output, datatype: oipTypes.get(type) ?? type, shape: dims, bytes };
  });
  answered += 1;
  respond({ name, id: asked.id, fault: fault.name }, parts, response);
}

type Answer = { readonly name: string; readonly id: string | undefined; readonly fault: string };

function respond({ name, id, fault }: Answer, parts: readonly Part[], response: ServerResponse): void {
  const toHead = ({ name: output, datatype, shape, bytes }: Part) => ({
    name: output,
    datatype: fault === "wrong-type" ? "INT32" : datatype,
    shape: fault === "wrong-shape" ? [1, 2, 3] : fault === "product-overflow" ? [2 ** 31 - 1, 4] : shape,
    parameters: { binary_data_size: fault === "wrong-length" ? bytes.length + 4 : bytes.length },
  });
  let outputs: unknown[] = parts.map(toHead);
  if (fault === "extra-output") outputs.push({ name: "more", datatype: "FP32", shape: [1], data: [1] });
  if (fault === "missing-output") outputs = [];
  if (fault === "json")
    outputs = parts.map(({ bytes, ...head }) => ({
      ...head,
      data: [...new Float32Array(Uint8Array.from(bytes).buffer)],
    }));
  const document = { model_name: name, model_version: "1", id: fault === "other-id" ? "x" : id, outputs };
  const json = Buffer.from(fault === "garbage" ? "}{ nothing \u0000 of this is JSON" : JSON.stringify(document));
  const binaries = fault === "json" ? [] : parts.map(({ bytes }) => bytes);
  const body = Buffer.concat([json, ...binaries]);
  if (fault === "not-http") {
    response.socket?.end("SSH-2.0-OpenSSH_9.2\r\n");
    return;
  }
  const length =
    fault === "header-overflow" ? "99999999999999999999" : fault === "header-long" ? body.length + 1 : json.length;
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    ...(fault === "json" ? {} : { "inference-header-content-length": length }),
    ...(fault === "huge-headers" ? { "x-much": "x".repeat(40_000) } : {}),
    ...(fault === "endless" ? {} : { "content-length": body.length }),
  });
  if (fault === "endless") {
    const more = () => response.write(Buffer.alloc(262_144));
    response.on("drain", more);
    while (more()) continue;
    return;
  }
  if (fault === "cut-short") {
    response.write(body.subarray(0, body.length - 3), () => response.destroy());
    return;
  }
  response.end(body);
}

/** "version:2" is a server of another version, not a broken one. */
const toVersion = (): string => (readFault().name === "version" ? String(readFault().number) : "1");

async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://server").pathname;
  if (path === "/v2/health/live") return sendJson(response, 200, { live: true });
  if (path === "/v2/health/ready") return sendJson(response, 200, { ready: true });
  if (path === "/v2")
    return sendJson(response, 200, { name: "oip-server", version: toVersion(), extensions: ["binary_tensor_data"] });
  const control = /^\/v2\/repository\/models\/([^/]+)\/(load|unload)$/u.exec(path);
  if (control !== null && request.method === "POST") {
    await readBody(request);
    const [, name = "", verb] = control;
    if (verb === "load") await loadModel(name);
    else models.delete(name);
    return sendJson(response, 200, {});
  }
  const [, name = "", rest = ""] =
    /^\/v2\/models\/([^/]+)(?:\/versions\/1)?(?:\/(ready|config|infer))?$/u.exec(path) ?? [];
  if (name === "") throw new Refusal(404, "not found");
  if (rest === "infer" && request.method === "POST") return infer(name, request, response);
  const served = await findModel(name);
  if (rest === "ready") return sendJson(response, 200, { name, ready: true });
  if (rest === "config") return sendJson(response, 200, { name, instance_group: served.config["instance_group"] });
  if (readFault().name === "garbage-metadata") return void response.writeHead(200).end("no {JSON");
  return sendJson(response, 200, toMetadata(name, served));
}

const server = createServer((request, response) => {
  route(request, response).catch((error: unknown) => {
    const status = error instanceof Refusal ? error.status : 500;
    sendJson(response, status, { error: error instanceof Error ? error.message : String(error) });
  });
});

if (args.child) {
  const child = spawn("sleep", ["1000"], { stdio: "inherit" });
  process.stdout.write(`child ${child.pid}\n`);
}
await delay(Number(args["start-delay"]));
if (readFault().name === "no-start") {
  process.stderr.write("cannot find the accelerator\n");
  process.exit(3);
}
if (args.socket !== undefined) {
  rmSync(args.socket, { force: true });
  server.listen(args.socket);
} else server.listen(Number(args.port ?? 0), "127.0.0.1");
server.on("listening", () => process.stdout.write(`listening ${JSON.stringify(server.address())}\n`));
