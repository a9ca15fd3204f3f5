import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createAuthorityPair,
  issueDeviceCertificate,
  issueServerPair,
  parseAuthority,
  toCertificateRequest,
  type Authority,
} from "../../authority/certificates.ts";
import { authenticate, type AuthenticateOptions } from "./authenticate.ts";

const nowMs = Date.now();
const noted: string[] = [];
const answers: Promise<unknown>[] = [];
let own: Authority;
let server: ReturnType<typeof createServer>;

const options: AuthenticateOptions = {
  store: undefined as never,
  ...{ tenant: "default", clock: { nowMs: () => nowMs, monotonicMs: () => 0 }, verifyToken: undefined },
  isInForce: async (device) => device === "cam-1",
  connections: { note: ({ device }) => void noted.push(device) },
};

const toAuthority = async () => parseAuthority(await createAuthorityPair(nowMs));

beforeAll(async () => {
  own = await toAuthority();
  const pair = await issueServerPair(own, { names: ["localhost"], nowMs });
  const tls = { key: pair.keyPem, cert: pair.certificatePem, ca: own.certificatePem };
  server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, (incoming, response) => {
    const judged = authenticate(options, { permission: "device" }, {
      incoming,
      headers: new Headers(),
    } as never);
    answers.push(judged.catch((error: unknown) => error).finally(() => response.end()));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterAll(() => void server.close());

/** What the plane says to a connection that shows this authority's certificate for the name. */
async function ask(authority: Authority, { device = "cam-1", tenant = "default" } = {}): Promise<unknown> {
  noted.length = 0;
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = await issueDeviceCertificate(authority, {
    ...{ request: toCertificateRequest(publicKey), device, tenant, nowMs, days: 1 },
  });
  const sent = request({
    ...{ host: "127.0.0.1", port: (server.address() as AddressInfo).port, agent: false, servername: "localhost" },
    ...{ ca: own.certificatePem, cert: certificate.certificatePem },
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  await once(response.resume(), "end");
  return await answers.at(-1);
}

describe("a device's certificate over HTTPS", () => {
  it("says who calls, and its connection is remembered", async () => {
    expect(await ask(own)).toEqual({ kind: "device", device: "cam-1" });
    expect(noted).toEqual(["cam-1"]);
  });

  it("is remembered although it is not in force: a revocation may have come while that was asked", async () => {
    expect(await ask(own, { device: "cam-2" })).toMatchObject({ code: "unauthenticated" });
    expect(noted).toEqual(["cam-2"]);
  });

  it("leaves nothing behind under the device's name when it is forged or another tenant's", async () => {
    expect(await ask(await toAuthority())).toMatchObject({ code: "unauthenticated" });
    expect(noted).toEqual([]);
    expect(await ask(own, { tenant: "other" })).toMatchObject({ code: "unauthenticated" });
    expect(noted).toEqual([]);
  });
});
