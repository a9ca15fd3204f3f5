import { webcrypto } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestAuthority, type TestAuthority } from "@fairlead/bus/testing";
import type { CreateWebhookResponse, WebhookDetail } from "@fairlead/protocol";
import { PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { isGenuine, WebhookReceivers, type ReceiverTls } from "../support/webhook-receiver.ts";

const dir = mkdtempSync(join(tmpdir(), "webhook-tls-"));
const plane = new TestPlane({ dir: join(dir, "plane"), args: ["--webhook-networks", "127.0.0.1/32,::1/128"] });
const receivers = new WebhookReceivers();
let authority: TestAuthority;

beforeAll(async () => {
  authority = await createTestAuthority("Receivers of the plant");
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "receivers.pem"), authority.ca);
  await plane.start({ NODE_EXTRA_CA_CERTS: join(dir, "receivers.pem") });
}, 60_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  receivers[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A server's own word for itself, for one day that begins then. */
async function signOneself(host: string, notBefore: Date): Promise<ReceiverTls> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...{ serialNumber: "01", name: `CN=${host}`, signingAlgorithm: algorithm, keys },
    ...{ notBefore, notAfter: new Date(notBefore.getTime() + 86_400_000) },
    extensions: [new SubjectAlternativeNameExtension([{ type: "dns", value: host }])],
  });
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { key: PemConverter.encode(pkcs8, "PRIVATE KEY"), cert: certificate.toString("pem") };
}

/** Registers the receiver, sends it a test, and tells how the first attempt ended. */
async function tryOnce(url: string) {
  const made = (await plane.post("/api/v1/webhooks", { url })) as unknown as CreateWebhookResponse;
  const path = `/api/v1/webhooks/${made.webhook.webhookId}`;
  expect(await plane.post(`${path}/test`, {})).toMatchObject({ status: 202 });
  const delivery = await eventually(`${url} is tried`, async () =>
    (await plane.get<WebhookDetail>(path)).deliveries.find(({ attempts }) => attempts > 0),
  );
  return { ...delivery, secret: made.secret };
}

describe("a receiver with TLS", () => {
  it.each(["localhost", "127.0.0.1"])("is told under %s, which its certificate names", async (host) => {
    const { port, received } = await receivers.receive([204], await authority.issueServer(host));
    const delivery = await tryOnce(`https://${host}:${port}/in`);
    expect(delivery).toMatchObject({ state: "delivered", status: 204 });
    const [message] = received;
    expect(message !== undefined && isGenuine(delivery.secret, message)).toBe(true);
    expect(message?.headers.host).toBe(`${host}:${port}`);
  });

  const refused: readonly (readonly [string, RegExp, () => Promise<ReceiverTls | undefined>])[] = [
    ["signs for itself", /SELF_SIGNED/u, () => signOneself("localhost", new Date(Date.now() - 3_600_000))],
    [
      "has a certificate of an authority that only has the same name",
      /CERT_SIGNATURE_FAILURE/u,
      async () => (await createTestAuthority("Receivers of the plant")).issueServer("localhost"),
    ],
    ["has a certificate of another name", /ALTNAME_INVALID/u, () => authority.issueServer("hooks.example")],
    ["has a certificate of a name that only begins alike", /ALTNAME_INVALID/u, () => authority.issueServer("localhos")],
    [
      "has a certificate for a device's side of a connection",
      /PURPOSE/u,
      () => authority.issueDevice("t", "localhost"),
    ],
    ["speaks without TLS", /unreachable|response_refused/u, async () => undefined],
  ];
  it.each(refused)("that %s gets nothing, and the reason is named", async (_what, reason, certify) => {
    const { port, received } = await receivers.receive([204], await certify());
    const delivery = await tryOnce(`https://localhost:${port}/in`);
    expect(delivery).toMatchObject({ state: "pending", status: null });
    expect(delivery.reason).toMatch(reason);
    expect(received).toEqual([]);
  });
});
