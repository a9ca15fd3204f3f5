import { createAuthorityPair } from "@fairlead/control-plane/certificates";
import { loadEndorsement } from "@fairlead/agent/endorsement";
import { makeCredential, parseTpmPublic, toKeyFingerprint, toPublicKey } from "@fairlead/integrity/tpm";
import type { Endorsement } from "@fairlead/protocol";
import * as x509 from "@peculiar/x509";
import { randomBytes, webcrypto } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestPlane } from "../support/plane.ts";
import { RawTpmDevice } from "../support/raw-tpm-device.ts";
import { SoftwareTpm, whyNoTpm } from "../support/swtpm.ts";

const missing = whyNoTpm();
const dir = mkdtempSync(join(tmpdir(), "fairlead-tpm-makers-"));
const makers = join(dir, "makers.pem");
const plane = new TestPlane({ dir: join(dir, "plane"), args: ["--ek-ca", makers] });
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
let tpm: SoftwareTpm | undefined;
const requireTpm = (): SoftwareTpm => {
  if (tpm === undefined) throw new Error("no TPM");
  return tpm;
};

/** As a maker does it: a certificate for the endorsement key, signed by the maker's authority. */
async function certify(maker: Awaited<ReturnType<typeof createAuthorityPair>>, device: RawTpmDevice): Promise<Buffer> {
  const key = toPublicKey(parseTpmPublic(device.endorsement.publicArea).key);
  const [der = new ArrayBuffer()] = x509.PemConverter.decode(maker.keyPem);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: "0102",
    subject: "CN=EK",
    issuer: new x509.X509Certificate(maker.certificatePem).subject,
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 86_400_000),
    signingKey: await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]),
    publicKey: new x509.PublicKey(new Uint8Array(key.export({ type: "spki", format: "der" }))),
    signingAlgorithm: algorithm,
    extensions: [new x509.ExtendedKeyUsageExtension(["2.23.133.8.1"])],
  });
  return Buffer.from(certificate.rawData);
}

beforeAll(async () => {
  if (missing === null) tpm = await SoftwareTpm.start(join(dir, "tpm"));
});
afterAll(async () => {
  await tpm?.[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(missing !== null)(`an endorsement key${missing === null ? "" : ` (${missing})`}`, () => {
  it.each(["rsa", "ecc"] as const)("of kind %s opens in a TPM what was made without one", async (kind) => {
    const device = await RawTpmDevice.make(requireTpm(), join(dir, "work"), kind);
    const endorsement = parseTpmPublic(device.endorsement.publicArea);
    const { name } = parseTpmPublic(Buffer.from(device.blobs.publicArea, "base64"));
    for (const sizeBytes of [1, 16, 32]) {
      const secret = randomBytes(sizeBytes);
      const made = makeCredential({ endorsement, name, secret, random: randomBytes });
      const credentialBlob = made.credentialBlob.toString("base64");
      const encryptedSecret = made.encryptedSecret.toString("base64");
      const opened = await device.open({ status: 201, challengeId: "x", credentialBlob, encryptedSecret }, kind);
      expect(opened).toBe(secret.toString("base64"));
    }
  });

  it("A44 with a certificate of a trusted maker may ask, and an operator decides; one of a foreign maker may not", async () => {
    const [maker, foreign] = [await createAuthorityPair(Date.now()), await createAuthorityPair(Date.now())];
    writeFileSync(makers, maker.certificatePem);
    await plane.start();
    const device = await RawTpmDevice.make(requireTpm(), join(dir, "work"));
    const request = await device.toRequest("cam-1");
    const ask = async (certificate: Buffer | null) =>
      await plane.post("/api/v1/enrol/endorsed", {
        ...{ ...request, endorsementCertificate: certificate?.toString("base64") ?? null },
      });
    expect(await ask(await certify(foreign, device))).toMatchObject({ status: 403, code: "attestation_refused" });
    expect(await ask(null)).toMatchObject({ status: 403, code: "endorsement_unknown" });

    // Where a maker puts it: the agent finds it there.
    const der = await certify(maker, device);
    writeFileSync(join(dir, "tpm", "ek.der"), der);
    await requireTpm().tool("tpm2_nvdefine", ["-Q", "-C", "o", "-s", String(der.length), "0x1c00002"]);
    await requireTpm().tool("tpm2_nvwrite", ["-Q", "-C", "o", "-i", "ek.der", "0x1c00002"]);
    const { certificate } = await device.talk((tools) => loadEndorsement(tools, "rsa"));
    expect(certificate).toEqual(der);

    const challenge = await ask(certificate);
    const secret = await device.open(challenge);
    const path = `/api/v1/enrol/endorsed/${String(challenge["challengeId"])}`;
    const pending = await plane.post(path, { secret });
    expect(pending).toMatchObject({ status: 200, state: "pending" });
    const enrolment = `/api/v1/enrolments/${String(pending["enrolmentId"])}`;

    // Asked again with another credential, it is the same request, known by the newer secret.
    const again = await ask(certificate);
    const newer = await device.open(again);
    const path2 = `/api/v1/enrol/endorsed/${String(again["challengeId"])}`;
    expect(await plane.post(path2, { secret: newer })).toMatchObject({ enrolmentId: pending["enrolmentId"] });
    expect(await plane.post(`${enrolment}/poll`, { token: secret })).toMatchObject({ status: 401 });

    expect(await plane.post(`${enrolment}/approve`, {})).toMatchObject({ status: 200, assurance: "tpm-endorsed" });
    expect(await plane.post(`${enrolment}/poll`, { token: newer })).toMatchObject({
      state: "approved",
      device: "cam-1",
    });
    const { items } = await plane.get<{ items: Endorsement[] }>("/api/v1/enrolments/endorsements");
    const fingerprint = toKeyFingerprint(toPublicKey(parseTpmPublic(device.endorsement.publicArea).key));
    expect(items).toMatchObject([{ fingerprint, source: "certificate", device: "cam-1" }]);
  });

  it("is refused by its TPM when the credential is for another object's name", async () => {
    const device = await RawTpmDevice.make(requireTpm(), join(dir, "work"));
    const endorsement = parseTpmPublic(device.endorsement.publicArea);
    const name = Buffer.concat([Buffer.from([0, 11]), randomBytes(32)]);
    const made = makeCredential({ endorsement, name, secret: randomBytes(32), random: randomBytes });
    const credentialBlob = made.credentialBlob.toString("base64");
    const encryptedSecret = made.encryptedSecret.toString("base64");
    const challenge = { status: 201, challengeId: "x", credentialBlob, encryptedSecret };
    await expect(device.open(challenge)).rejects.toMatchObject({
      message: expect.stringContaining("tpm2_activatecredential") as string,
    });
  });
});
