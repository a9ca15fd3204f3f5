// Registers what the certificate library needs, before it is loaded.
import "@fairlead/bus/testing";
import { webcrypto } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toDeviceFilters, toTopic, type EnrolResponse, type TelemetryWindow, type UpChannel } from "@fairlead/protocol";
import { PemConverter, Pkcs10CertificateRequestGenerator } from "@peculiar/x509";
import { connectAsync, type MqttClient } from "mqtt";
import { Agent, request, type Dispatcher } from "undici";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface KeyWithRequest {
  readonly key: string;
  readonly csr: string;
}

export async function createRequest(
  parameters: EcKeyGenParams | RsaHashedKeyGenParams = algorithm,
): Promise<KeyWithRequest> {
  const keys = (await webcrypto.subtle.generateKey(parameters, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: "CN=whoever",
    keys,
    signingAlgorithm: { ...parameters, hash: "SHA-256" },
  });
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { key: PemConverter.encode(pkcs8, "PRIVATE KEY"), csr: csr.toString("pem") };
}
type EcKeyGenParams = typeof algorithm;
interface RsaHashedKeyGenParams {
  readonly name: string;
  readonly hash: string;
  readonly modulusLength: number;
  readonly publicExponent: Uint8Array;
}

export interface Answer<Body> {
  readonly status: number;
  readonly body: Body;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
}
export interface CallOptions {
  readonly token?: string | null;
  readonly json?: unknown;
  readonly headers?: Record<string, string>;
  readonly identity?: { readonly key: string; readonly cert: string };
}

/** A plane in a folder that goes when the test ends, and plain calls to it. */
export async function startPlane(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "fairlead-plane-"));
  const plane = await new TestPlane({ dir, args, env }).start();
  const ca = readFileSync(join(dir, "data", "ca.pem"), "utf8");
  const call = async <Body>(
    method: Dispatcher.HttpMethod,
    path: string,
    options: CallOptions = {},
  ): Promise<Answer<Body>> => {
    const dispatcher = new Agent({ connect: { ca, ...options.identity } });
    const token = options.token === undefined ? plane.token : options.token;
    const answer = await request(`${plane.url}${path}`, {
      method,
      dispatcher,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(options.json === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      body: options.json === undefined ? null : JSON.stringify(options.json),
    });
    const text = await answer.body.text();
    await dispatcher.close();
    return {
      status: answer.statusCode,
      // What is no JSON, such as the metrics, is in `text` alone.
      body: (String(answer.headers["content-type"]).includes("json") ? JSON.parse(text) : null) as Body,
      text,
      headers: answer.headers,
    };
  };
  const createToken = async (token: object = { autoApprove: true, uses: 100 }) =>
    (await call<{ token: string }>("POST", "/api/v1/enrolments/tokens", { json: token })).body.token;
  return {
    plane,
    dir,
    ca,
    call,
    createToken,
    [Symbol.asyncDispose]: async () => {
      await plane[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
export type Harness = Awaited<ReturnType<typeof startPlane>>;
export type Approved = Extract<EnrolResponse, { state: "approved" }>;

export async function enrol(
  harness: Harness,
  device: string,
  labels: Readonly<Record<string, string>> = { site: "test" },
) {
  const { key, csr } = await createRequest();
  const token = await harness.createToken();
  const json = { token, device, csr, profile: "generic-x86", labels };
  const { body, status } = await harness.call<Approved>("POST", "/api/v1/enrol", { token: null, json });
  if (status !== 200) throw new Error(JSON.stringify(body));
  return { key, cert: body.certificate, answer: body };
}
export type Identity = Awaited<ReturnType<typeof enrol>>;

export interface Received {
  readonly topic: string;
  readonly body: Record<string, unknown>;
}

/** A device without an agent: it says exactly what the test wants it to say. */
export class RawDevice implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly name: string;
  readonly client: MqttClient;

  constructor(name: string, client: MqttClient) {
    this.name = name;
    this.client = client;
    client.on("message", (topic, payload) => {
      this.received.push({ topic, body: JSON.parse(payload.toString()) as Record<string, unknown> });
    });
  }

  static async connect(harness: Harness, identity: Identity, session = 1): Promise<RawDevice> {
    const url = identity.answer.mqttUrl;
    const name = identity.answer.device;
    const will = { v: 1, online: false, session, tsMs: Date.now() };
    const client = await connectAsync(url, {
      ca: harness.ca,
      key: identity.key,
      cert: identity.cert,
      clientId: name,
      reconnectPeriod: 0,
      connectTimeout: 5_000,
      will: {
        topic: toTopic({ kind: "up", tenant: "default", device: name, channel: "status" }),
        payload: Buffer.from(JSON.stringify(will)),
        qos: 1,
        retain: true,
      },
    });
    const device = new RawDevice(name, client);
    await client.subscribeAsync([...toDeviceFilters("default", name)], { qos: 1 });
    return device;
  }

  async send(channel: UpChannel, body: unknown): Promise<void> {
    const topic = toTopic({ kind: "up", tenant: "default", device: this.name, channel });
    const payload = typeof body === "string" ? body : JSON.stringify(body);
    await this.client.publishAsync(topic, payload, { qos: 1 });
  }

  async birth(more: object = {}): Promise<void> {
    const body = {
      v: 1,
      tenant: "default",
      device: this.name,
      session: 1,
      tsMs: Date.now(),
      agentVersion: "0.1.0",
      profile: "generic-x86",
    };
    const rest = { arch: "x64", executionProviders: ["cpu"], formats: ["onnx"], memoryTotalBytes: null, inventory: {} };
    await this.send("birth", { ...body, ...rest, epoch: "epoch0001", lastSeq: 0, generation: 0, ...more });
  }

  /** Waits for the acknowledgement of everything up to `upTo`. */
  async acknowledged(upTo: number, epoch = "epoch0001"): Promise<void> {
    await eventually(`${this.name} is acknowledged up to ${upTo}`, () =>
      this.received.some(
        ({ topic, body }) => topic.endsWith("/ack") && body["epoch"] === epoch && body["upTo"] === upTo,
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.endAsync(true);
  }
}

const none = { value: null, reason: "not measured" };

export function createTelemetry(seq: number, more: { epoch?: string; tsMs?: number } = {}) {
  const tsMs = more.tsMs ?? Date.now();
  const window: TelemetryWindow = {
    t0Ms: tsMs - 1_000,
    t1Ms: tsMs,
    mergedWindows: 1,
    host: {
      cpuRatio: { value: 0.5 },
      memoryUsedBytes: none,
      memoryTotalBytes: none,
      temperatureC: none,
      diskFreeBytes: none,
      diskTotalBytes: none,
      throttled: none,
      uptimeS: none,
    },
    energy: { method: "modelled", scope: "device", source: "test", totalJ: { value: 1 }, idleJ: none, activeJ: none },
    slots: [],
  };
  return { v: 1, epoch: more.epoch ?? "epoch0001", seq, tsMs, uptimeMs: 1_000, windows: [window] };
}
