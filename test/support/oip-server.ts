import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { parseModelConfig } from "./oip-model-config.ts";
import { openModel, type Part, type Served } from "./oip-models.ts";
import { fromJson, toJson } from "./oip-tensors.ts";

/*
 * A second Open Inference Protocol server, as a process of its own. It is written from the protocol's text (version 2, with
 * the extensions for binary tensor data, model repository in explicit mode, and model configuration) and shares no code with
 * the client that is tested against it, so that both are checked against the text and not against each other. Like many
 * servers of vendors it ignores the end of its input and answers nothing while a model runs. Without the extension for
 * binary tensor data (`--no-binary`) it knows JSON alone, as the protocol asks no more. With `--config` it takes its models
 * as OpenVINO Model Server does: from a file that lists them, which it looks at again and again; it then has no extension
 * that it tells of, binary tensor data included, and no configuration of a model.
 */

const { values: args } = parseArgs({
  allowNegative: true,
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
    config: { type: "string" },
    binary: { type: "boolean", default: true },
    "start-delay": { type: "string", default: "0" },
    /** Starts a process that does nothing, in its own group, and prints its id. */
    child: { type: "boolean", default: false },
  },
});
const repository = args.repository ?? "";

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
    models.set(name, await openModel(bytes, config));
  } catch (error) {
    throw new Refusal(400, `failed to load '${name}', ${String(error)}`);
  }
}

interface ConfigFile {
  readonly model_config_list: readonly { readonly config: { readonly name: string; readonly base_path: string } }[];
}

/** What is wrong with the file or a model changes nothing: it is looked at again. */
async function followConfig(path: string): Promise<void> {
  const { model_config_list: list } = JSON.parse(readFileSync(path, "utf8")) as ConfigFile;
  const fault = readFault();
  for (const { config } of list) {
    if (models.has(config.name) || fault.name.startsWith("load-")) continue;
    const bytes = readFileSync(join(config.base_path, "1", "model.onnx"));
    const served = await openModel(bytes, null).catch(() => null);
    if (served !== null) models.set(config.name, served);
  }
  for (const name of models.keys()) if (!list.some(({ config }) => config.name === name)) models.delete(name);
}

async function findModel(name: string): Promise<Served> {
  if (args.poll && !models.has(name)) await loadModel(name);
  const found = models.get(name);
  if (found === undefined)
    throw new Refusal(args.config === undefined ? 400 : 404, `Request for unknown model: '${name}' is not found`);
  return found;
}

function toMetadata(name: string, { inputs, outputs }: Served): Record<string, unknown> {
  const metadata = {
    name,
    versions: ["1"],
    platform: "onnxruntime_onnx",
    inputs,
    outputs,
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
    readonly data?: unknown;
  }[];
  readonly outputs?: readonly { readonly name: string; readonly parameters?: { readonly binary_data?: boolean } }[];
}

function readInputs(body: Buffer, headerLength: number, request: InferRequest): Part[] {
  let offset = headerLength;
  const inputs = request.inputs.map(({ name, datatype, shape, parameters, data }, index): Part => {
    const size = parameters?.binary_data_size;
    if (size === undefined) {
      const text = body.toString("utf8", 0, headerLength);
      return { name, datatype, shape, bytes: fromJson(datatype, data, { text, index }) };
    }
    if (!args.binary) throw new Refusal(400, `binary data of input '${name}': there is no such extension here`);
    const bytes = Uint8Array.from(body.subarray(offset, offset + size));
    offset += size;
    if (bytes.length !== size) throw new Refusal(400, `unexpected end of input '${name}'`);
    return { name, datatype, shape, bytes };
  });
  if (offset !== body.length) throw new Refusal(400, `unexpected additional input data`);
  return inputs;
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
  const inputs = readInputs(body, headerLength, asked);
  const parts = await served.run(inputs).catch((error: unknown) => {
    throw new Refusal(400, `onnx runtime error: ${String(error)}`);
  });
  answered += 1;
  const binary = args.binary && asked.outputs?.some(({ parameters }) => parameters?.binary_data === true);
  respond({ name, id: asked.id, fault: fault.name, binary: binary === true && fault.name !== "json" }, parts, response);
}

type Answer = {
  readonly name: string;
  readonly id: string | undefined;
  readonly fault: string;
  readonly binary: boolean;
};

function respond({ name, id, fault, binary }: Answer, parts: readonly Part[], response: ServerResponse): void {
  const toHead = ({ name: output, datatype, shape, bytes }: Part) => ({
    name: output,
    datatype: fault === "wrong-type" ? "INT32" : datatype,
    shape: fault === "wrong-shape" ? [1, 2, 3] : fault === "product-overflow" ? [2 ** 31 - 1, 4] : shape,
    ...(binary ? { parameters: { binary_data_size: fault === "wrong-length" ? bytes.length + 4 : bytes.length } } : {}),
  });
  let outputs: unknown[] = parts.map(toHead);
  if (fault === "extra-output") outputs.push({ name: "more", datatype: "FP32", shape: [1], data: [1] });
  if (fault === "missing-output") outputs = [];
  const document = { model_name: name, model_version: "1", id: fault === "other-id" ? "x" : id, outputs };
  const text = binary ? JSON.stringify(document) : toJson(document, parts);
  const json = Buffer.from(fault === "garbage" ? "}{ nothing \u0000 of this is JSON" : text);
  const binaries = binary ? parts.map(({ bytes }) => bytes) : [];
  const body = Buffer.concat([json, ...binaries]);
  if (fault === "not-http") {
    response.socket?.end("SSH-2.0-OpenSSH_9.2\r\n");
    return;
  }
  const length =
    fault === "header-overflow" ? "99999999999999999999" : fault === "header-long" ? body.length + 1 : json.length;
  response.writeHead(200, {
    "content-type": binary ? "application/octet-stream" : "application/json",
    ...(binary ? { "inference-header-content-length": length } : {}),
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

function listExtensions(): string[] {
  if (args.config !== undefined) return [];
  return [...(args.binary ? ["binary_tensor_data"] : []), "model_repository", "model_configuration"];
}

async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://server").pathname;
  if (path === "/v2/health/live") return sendJson(response, 200, { live: true });
  if (path === "/v2/health/ready") return sendJson(response, 200, { ready: true });
  if (path === "/v2")
    return sendJson(response, 200, { name: "oip-server", version: toVersion(), extensions: listExtensions() });
  const control = /^\/v2\/repository\/models\/([^/]+)\/(load|unload)$/u.exec(path);
  if (control !== null && request.method === "POST" && args.config === undefined) {
    await readBody(request);
    const [, name = "", verb] = control;
    if (verb === "load") await loadModel(name);
    else models.delete(name);
    return sendJson(response, 200, {});
  }
  const [, name = "", rest = ""] =
    /^\/v2\/models\/([^/]+)(?:\/versions\/1)?(?:\/(ready|config|infer))?$/u.exec(path) ?? [];
  if (name === "" || (rest === "config" && args.config !== undefined)) throw new Refusal(404, "not found");
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
if (args.config !== undefined) {
  const path = args.config;
  await followConfig(path);
  void (async () => {
    for (;;) {
      await delay(25);
      await followConfig(path).catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
    }
  })();
}
if (args.socket !== undefined) {
  rmSync(args.socket, { force: true });
  server.listen(args.socket);
} else server.listen(Number(args.port ?? 0), "127.0.0.1");
server.on("listening", () => process.stdout.write(`listening ${JSON.stringify(server.address())}\n`));
