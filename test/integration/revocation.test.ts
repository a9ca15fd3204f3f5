import { createHash, webcrypto } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { request, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { createTestAuthority } from "@fairlead/bus/testing";
import type { AuditEntry } from "@fairlead/protocol";
import { mlpModel } from "@fairlead/inference/testing";
import {
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import Database from "better-sqlite3";
import { connect, type IClientOptions } from "mqtt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prepareWithCli, runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { createRequest, enrol, RawDevice, startPlane, type Harness, type Identity } from "./plane-harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
});
afterAll(() => harness[Symbol.asyncDispose]());

type Shown = Pick<Identity, "key" | "cert">;

/** How the broker answers who shows this certificate under this name. */
async function tryMqtt(shown: Shown, clientId: string, more: IClientOptions = {}): Promise<string> {
  const { key, cert } = shown;
  const options = { ca: harness.ca, key, cert, clientId, reconnectPeriod: 0, connectTimeout: 5_000, ...more };
  try {
    const client = connect(harness.plane.mqttUrl, options);
    // A handshake that the other end refuses may close without a word.
    const answer = await new Promise<string>((resolve) => {
      client.once("connect", () => resolve("admitted"));
      client.once("error", (error) => resolve(`refused: ${error.message}`));
      client.once("close", () => resolve("refused: closed"));
    });
    await client.endAsync(true);
    return answer;
  } catch (error) {
    return `refused: ${String(error)}`;
  }
}

const tryHttp = async ({ key, cert }: Shown): Promise<number> =>
  (await harness.call("GET", "/api/v1/device/certificate", { token: null, identity: { key, cert } })).status;

/** A certificate of the plane's own authority, for a life of one day that begins at `nowMs`. */
async function issueAt(device: string, nowMs: number): Promise<Shown> {
  const read = (name: string): string => readFileSync(join(harness.dir, "data", name), "utf8");
  const { key, csr } = await createRequest();
  const [der] = PemConverter.decode(read("ca.key"));
  if (der === undefined) throw new Error("the authority has no key");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const certificate = await X509CertificateGenerator.create({
    serialNumber: "0102",
    subject: [{ CN: [device] }, { O: ["default"] }],
    issuer: new X509Certificate(read("ca.pem")).subject,
    notBefore: new Date(nowMs),
    notAfter: new Date(nowMs + dayMs),
    signingKey: await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]),
    publicKey: new Pkcs10CertificateRequest(csr).publicKey,
    signingAlgorithm: algorithm,
    extensions: [new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth])],
  });
  return { key, cert: certificate.toString("pem") };
}

const dayMs = 86_400_000;

describe("A33 who a device is", () => {
  it("A33 is said by its certificate alone: not by a client id, a user name, another authority or another time", async () => {
    const [a, b] = [await enrol(harness, "a33-a"), await enrol(harness, "a33-b")];
    expect([await tryMqtt(a, "a33-a"), await tryHttp(a)]).toEqual(["admitted", 200]);
    const refused = expect.stringContaining("refused");
    expect(await tryMqtt(a, "a33-b")).toEqual(expect.stringContaining("Not authorized"));
    expect(await tryMqtt(a, "a33-b", { username: "a33-b", password: "x" })).toEqual(refused);
    // The key of the one with the certificate of the other proves nothing.
    expect(await tryMqtt({ key: a.key, cert: b.cert }, "a33-b")).toEqual(refused);
    const foreign = await (await createTestAuthority()).issueDevice("default", "a33-a");
    expect([await tryMqtt(foreign, "a33-a"), await tryHttp(foreign)]).toEqual([refused, 401]);
    for (const nowMs of [Date.now() - 10 * dayMs, Date.now() + 10 * dayMs, Date.now()]) {
      const own = await issueAt("a33-a", nowMs);
      expect([await tryMqtt(own, "a33-a"), await tryHttp(own)]).toEqual([refused, 401]);
    }
    // Nothing of all this took the session from who has it.
    await using session = await RawDevice.connect(harness, a);
    await tryMqtt(b, "a33-a");
    await tryMqtt(foreign, "a33-a");
    expect(session.client.connected).toBe(true);
  });

  it("A33 needs its time too: one that the plane holds for the device's own is refused before it begins and after its end", async () => {
    await enrol(harness, "a33-d");
    const database = new Database(join(harness.dir, "data", "plane.db"));
    const adopt = async (nowMs: number): Promise<Shown> => {
      const own = await issueAt("a33-d", nowMs);
      const digest = createHash("sha256").update(new Uint8Array(new X509Certificate(own.cert).rawData));
      database
        .prepare("UPDATE devices SET certificateFingerprint = ? WHERE device = 'a33-d'")
        .run(`sha256:${digest.digest("hex")}`);
      return own;
    };
    const why = async (reason: RegExp): Promise<boolean> => {
      const { items } = await harness.plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=100");
      return items.some((entry) => entry.action === "broker.refuse" && reason.test(entry.reason));
    };
    const refused = expect.stringContaining("refused");
    const over = await adopt(Date.now() - 10 * dayMs);
    expect([await tryMqtt(over, "a33-d"), await tryHttp(over)]).toEqual([refused, 401]);
    await eventually("the reason is told", () => why(/CERT_HAS_EXPIRED/u));
    const early = await adopt(Date.now() + 10 * dayMs);
    expect([await tryMqtt(early, "a33-d"), await tryHttp(early)]).toEqual([refused, 401]);
    await eventually("the reason is told", () => why(/CERT_NOT_YET_VALID/u));
    // Only its time was wrong.
    const good = await adopt(Date.now() - dayMs / 2);
    expect([await tryMqtt(good, "a33-d"), await tryHttp(good)]).toEqual(["admitted", 200]);
    database.close();
  });

  it("A33 counts no more when it is revoked: session and download end within two seconds", async () => {
    const identity = await enrol(harness, "a33-c");
    const digest = await offerLargeModel();
    await using session = await RawDevice.connect(harness, identity);
    await session.birth();
    const gone = new Promise<number>((resolve) => session.client.once("close", () => resolve(performance.now())));
    const download = await beginDownload(identity, digest);
    const cut = new Promise<number>((resolve) => download.once("close", () => resolve(performance.now())));
    download.on("error", () => undefined);
    // It reads slowly: the plane's end of the connection stays busy.
    download.once("data", () => download.pause());
    await eventually("bytes came", () => download.readableLength > 0 || download.isPaused());

    const beganMs = performance.now();
    expect((await harness.call("DELETE", "/api/v1/devices/a33-c")).status).toBe(200);
    download.resume();
    const [goneMs, cutMs] = await Promise.all([gone, cut]);
    expect(download.complete).toBe(false);
    expect({ session: goneMs - beganMs < 2_000, download: cutMs - beganMs < 2_000 }).toEqual({
      session: true,
      download: true,
    });
    expect([await tryMqtt(identity, "a33-c"), await tryHttp(identity)]).toEqual([
      expect.stringContaining("Not authorized"),
      401,
    ]);
  }, 120_000);
});

/** 48 MB of weights: more than the buffers between two processes hold. */
async function offerLargeModel(): Promise<string> {
  const file = join(harness.dir, "large.onnx");
  writeFileSync(file, mlpModel({ widths: [3_464, 3_464, 10] }));
  const env = harness.plane.cliEnv;
  for (const step of [
    ["models", "push", file, "--model", "large", "--version", "1.0.0"],
    ["releases", "sign", "large", "1.0.0"],
    ["rollouts", "create", "--model", "large", "--version", "1.0.0", "--slot", "main", "--stages", "all=100%"].concat([
      ...["--selector", "site=test"],
    ]),
  ])
    await prepareWithCli(step, env);
  const [version] = await runCliJson<{ builds: { artifact: { digest: string } }[] }[]>(["models", "list"], env);
  const detail = await runCliJson<unknown>(["models", "describe", "large", "1.0.0"], env).catch(() => version);
  const digest = /sha256:[0-9a-f]{64}/u.exec(JSON.stringify(detail))?.[0];
  if (digest === undefined) throw new Error("the model has no digest");
  return digest;
}

async function beginDownload({ key, cert }: Shown, digest: string): Promise<IncomingMessage> {
  return await eventually("the device may fetch what it is to run", async () => {
    const options: RequestOptions = { ca: harness.ca, key, cert, agent: false };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${harness.plane.url}/api/v1/artifacts/${digest}`, options, resolve).on("error", reject).end();
    });
    if (answer.statusCode === 200) return answer;
    answer.resume();
    return undefined;
  });
}
