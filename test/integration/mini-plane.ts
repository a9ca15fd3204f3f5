import {
  generateKeyPair,
  parseSigningKey,
  signDocument,
  toDigest,
  type SignableDocument,
  type Signed,
} from "@fairlead/artifacts";
import { openBroker, type Broker } from "@fairlead/bus/broker";
import {
  parseTopic,
  toPayload,
  toTopic,
  type Birth,
  type Command,
  type CommandAction,
  type DesiredSlot,
  type EventData,
  type Evidence,
  type ModelVersion,
  type Reported,
  type Release,
  type SignedRelease,
  type TelemetryMessage,
} from "@fairlead/protocol";
import { createHash, randomBytes } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  createAuthorityPair,
  issueDeviceCertificate,
  issueServerPair,
  parseAuthority,
  parseCertificateRequest,
} from "@fairlead/control-plane/certificates";

import { TestTrust } from "../support/trust.ts";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
export const toId = (prefix: string): string =>
  `${prefix}-${Array.from(randomBytes(26), (byte) => alphabet[byte % 32]).join("")}`;

interface Reply {
  readonly commandId: string;
  readonly outcome: string;
  readonly code: string | null;
  readonly reason: string | null;
}

async function readJson(request: IncomingMessage): Promise<Record<string, string>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, string>;
}

/** The device-facing half of a plane: real certificates, real TLS, real broker; no rollouts and no database. */
export class MiniPlane implements AsyncDisposable {
  readonly tenant = "acme";
  readonly artifacts = new Map<string, Buffer>();
  readonly reported: Reported[] = [];
  readonly births: Birth[] = [];
  readonly events: EventData[] = [];
  readonly evidence: Evidence[] = [];
  readonly telemetry: TelemetryMessage[] = [];
  readonly replies: Reply[] = [];
  readonly statuses: { online: boolean; session: number }[] = [];
  /** Requests for artifacts that came without a device certificate of this plane. */
  anonymous = 0;
  served = 0;
  readonly signing = generateKeyPair();
  readonly trust = new TestTrust();
  /** A broker of its own, to which devices are sent instead. */
  mqttUrl: string | undefined;
  /** Metadata is answered with 503. */
  isTrustDown = false;
  /** Answers `pending` to this many polls before it approves. */
  pendingPolls = 0;
  #generation = 0;
  #commandGeneration = 0;
  readonly #enrolledKeys = new Map<string, string>();
  #httpPort = 0;
  #mqttPort = 0;
  #server: Server | undefined;
  #broker: Broker | undefined;
  readonly #seen = new Set<string>();
  readonly #upTo = new Map<string, number>();
  readonly #desired = new Map<string, Uint8Array>();
  readonly #authority: Awaited<ReturnType<typeof parseAuthority>>;
  readonly #tls: Awaited<ReturnType<typeof issueServerPair>>;
  readonly #secret = `fle_${randomBytes(32).toString("base64url")}`;

  private constructor(authority: MiniPlane["ca"], tls: Awaited<ReturnType<typeof issueServerPair>>) {
    this.#authority = authority;
    this.#tls = tls;
  }

  static async start(): Promise<MiniPlane> {
    const authority = await parseAuthority(await createAuthorityPair(Date.now()));
    const tls = await issueServerPair(authority, { names: ["localhost", "127.0.0.1"], nowMs: Date.now() });
    const plane = new MiniPlane(authority, tls);
    await plane.open();
    return plane;
  }

  get ca(): Awaited<ReturnType<typeof parseAuthority>> {
    return this.#authority;
  }

  get url(): string {
    return `https://localhost:${this.#httpPort}`;
  }

  get token(): string {
    const der = Buffer.from(this.#authority.certificate.rawData);
    return `${this.#secret}.${createHash("sha256").update(der).digest("hex")}`;
  }

  /** Opens, the second time on the same ports. */
  async open(): Promise<void> {
    const { keyPem: key, certificatePem: cert } = this.#tls;
    const ca = this.#authority.certificatePem;
    this.#broker = await openBroker({
      tls: { key, cert, ca },
      host: "127.0.0.1",
      port: this.#mqttPort,
      tenant: this.tenant,
      authenticate: async () => true,
      onMessage: (topic, payload) => this.#receive(topic, JSON.parse(Buffer.from(payload).toString())),
    });
    this.#mqttPort = this.#broker.port;
    const server = createServer(
      { key, cert, ca, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        this.#answer(request, response).catch((error: unknown) => {
          response.writeHead(500).end(String(error));
        });
      },
    );
    await new Promise<void>((resolve) => void server.listen(this.#httpPort, "127.0.0.1", resolve));
    this.#httpPort = (server.address() as AddressInfo).port;
    this.#server = server;
    for (const [topic, payload] of this.#desired) await this.#broker.publish(topic, payload, { retain: true });
    const host = { v: 1, online: true, tsMs: Date.now() };
    await this.#broker.publish(toTopic({ kind: "host", tenant: this.tenant }), toPayload(host), { retain: true });
  }

  async close(): Promise<void> {
    await this.#broker?.close();
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve) ?? resolve(undefined));
    this.#broker = undefined;
    this.#server = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  addArtifact(bytes: Buffer): { digest: string; sizeBytes: number } {
    const digest = toDigest(bytes);
    this.artifacts.set(digest, bytes);
    return { digest, sizeBytes: bytes.length };
  }

  /** A release that the publisher vouches for. */
  sign(content: ModelVersion, more: Partial<Release> = {}): SignedRelease {
    const nowMs = Date.now();
    const release: Release = {
      type: "release",
      v: 1,
      tenant: this.tenant,
      releaseId: toId("rel"),
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + 86_400_000,
      ...more,
      content,
    };
    this.trust.add(release);
    return { signed: release };
  }

  async desire(device: string, slots: readonly DesiredSlot[]): Promise<number> {
    this.#generation += 1;
    const nowMs = Date.now();
    const document = signDocument(
      {
        type: "desired-state",
        v: 1,
        tenant: this.tenant,
        device,
        enrolledKey: this.toEnrolledKey(device),
        generation: this.#generation,
        issuedAtMs: nowMs,
        expiresAtMs: nowMs + 86_400_000,
        slots: [...slots],
        artifactUrls: [`${this.url}/api/v1/artifacts/{digest}`],
      },
      parseSigningKey(this.signing.privateKeyPem),
    );
    await this.publishDesired(device, document);
    return this.#generation;
  }

  async publishDesired(device: string, document: unknown): Promise<void> {
    const topic = toTopic({ kind: "down", tenant: this.tenant, device, channel: "desired" });
    this.#desired.set(topic, toPayload(document));
    await this.#broker?.publish(topic, toPayload(document), { retain: true });
  }

  /** The document that is retained for the device now. */
  desiredOf(device: string): unknown {
    const payload = this.#desired.get(toTopic({ kind: "down", tenant: this.tenant, device, channel: "desired" }));
    return payload === undefined ? undefined : JSON.parse(Buffer.from(payload).toString());
  }

  async command(device: string, action: CommandAction): Promise<string> {
    const document = this.toCommand(device, action);
    await this.publishCommand(device, document.commandId, this.signDocument(document));
    return document.commandId;
  }

  /** The next command to this device, not signed and not sent. */
  toCommand(device: string, action: CommandAction, more: Partial<Command> = {}): Command {
    this.#commandGeneration += 1;
    const nowMs = Date.now();
    return {
      type: "command",
      v: 1,
      tenant: this.tenant,
      device,
      enrolledKey: this.toEnrolledKey(device),
      commandId: toId("cmd"),
      generation: this.#commandGeneration,
      issuedAtMs: nowMs,
      deadlineAtMs: nowMs + 60_000,
      action,
      ...more,
    };
  }

  signDocument<Document extends SignableDocument>(document: Document): Signed<Document> {
    return signDocument(document, parseSigningKey(this.signing.privateKeyPem));
  }

  /** The key with which the device enrolled last. */
  toEnrolledKey(device: string): string {
    const key = this.#enrolledKeys.get(device);
    if (key === undefined) throw new Error(`${device} did not enrol here`);
    return key;
  }

  async publishCommand(device: string, commandId: string, document: unknown): Promise<void> {
    await this.#broker?.publish(
      toTopic({ kind: "command", tenant: this.tenant, device, commandId }),
      toPayload(document),
    );
  }

  #receive(topic: string, message: Record<string, unknown>): void {
    const parsed = parseTopic(topic);
    if (parsed?.kind !== "up" && parsed?.kind !== "reply") return;
    if (parsed.kind === "up" && parsed.channel === "birth") this.births.push(message as Birth);
    if (parsed.kind === "up" && parsed.channel === "reported") this.reported.push(message as Reported);
    if (parsed.kind === "up" && parsed.channel === "status")
      this.statuses.push(message as { online: boolean; session: number });
    if (typeof message["seq"] !== "number") return;
    const { epoch, seq } = message as { epoch: string; seq: number };
    if (!this.#seen.has(`${epoch}/${seq}`)) {
      this.#seen.add(`${epoch}/${seq}`);
      if (parsed.kind === "reply") this.replies.push(message as unknown as Reply);
      else if (parsed.channel === "event") this.events.push((message as { event: { data: EventData } }).event.data);
      else if (parsed.channel === "evidence") this.evidence.push((message as { evidence: Evidence }).evidence);
      else if (parsed.channel === "telemetry") this.telemetry.push(message as TelemetryMessage);
    }
    let upTo = this.#upTo.get(epoch) ?? 0;
    while (this.#seen.has(`${epoch}/${upTo + 1}`)) upTo += 1;
    this.#upTo.set(epoch, upTo);
    const ack = toTopic({ kind: "down", tenant: this.tenant, device: parsed.device, channel: "ack" });
    void this.#broker?.publish(ack, toPayload({ v: 1, epoch, upTo }));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const json = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (path === "/api/v1/ca") return void json(200, { ca: this.#authority.certificatePem });
    if (path === "/api/v1/enrol") return this.#enrol(await readJson(request), json);
    if (path.startsWith("/api/v1/enrolments/")) {
      this.pendingPolls -= 1;
      return this.#enrol(this.#pending ?? {}, json);
    }
    const metadata = /^\/api\/v1\/trust\/metadata\/(.+)$/u.exec(path)?.[1];
    if (metadata !== undefined) {
      if (this.isTrustDown) return void response.writeHead(503).end();
      const text = (await this.trust.serve()).get(decodeURIComponent(metadata));
      return void response.writeHead(text === undefined ? 404 : 200).end(text);
    }
    const digest = /^\/api\/v1\/artifacts\/(.+)$/u.exec(path)?.[1];
    const bytes = this.artifacts.get(decodeURIComponent(digest ?? ""));
    if (!(request.socket as TLSSocket).authorized) {
      this.anonymous += 1;
      return void response.writeHead(401).end();
    }
    if (bytes === undefined) return void response.writeHead(404).end();
    this.served += 1;
    response.writeHead(200, { "content-length": bytes.length, etag: `"${digest}"` }).end(bytes);
  }

  #pending: Record<string, string> | undefined;

  async #enrol(body: Record<string, string>, json: (status: number, body: unknown) => unknown): Promise<void> {
    if (body["token"] !== this.token)
      return void json(401, {
        type: "about:blank",
        title: "token",
        status: 401,
        detail: "no such token",
        code: "token_invalid",
      });
    this.#pending = body;
    const enrolmentId = toId("enr");
    if (this.pendingPolls > 0) return void json(202, { state: "pending", enrolmentId, pollAfterMs: 10 });
    const request = await parseCertificateRequest(body["csr"] ?? "");
    this.#enrolledKeys.set(body["device"] ?? "", request.keyFingerprint);
    const certificate = await issueDeviceCertificate(this.#authority, {
      request,
      device: body["device"] ?? "",
      tenant: this.tenant,
      nowMs: Date.now(),
      days: 30,
    });
    json(200, {
      state: "approved",
      enrolmentId,
      tenant: this.tenant,
      device: body["device"],
      certificate: certificate.certificatePem,
      ca: this.#authority.certificatePem,
      signingKeys: [this.signing.publicKeyPem],
      trustRoot: await this.trust.firstRoot(),
      mqttUrl: this.mqttUrl ?? `mqtts://localhost:${this.#mqttPort}`,
      apiUrl: this.url,
    });
  }
}
