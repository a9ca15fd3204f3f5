import { createCertificateRequest, toFileSigner } from "@fairlead/agent/device-key";
import { activateCredential, loadEndorsement } from "@fairlead/agent/endorsement";
import { parseTpmPublic, toKeyFingerprint, toPublicKey } from "@fairlead/integrity/tpm";
import type { AuditEntry } from "@fairlead/protocol";
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestPlane } from "../support/plane.ts";
import { RawTpmDevice } from "../support/raw-tpm-device.ts";
import { SoftwareTpm, whyNoTpm } from "../support/swtpm.ts";

const missing = whyNoTpm();
const dir = mkdtempSync(join(tmpdir(), "fairlead-tpm-no-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const tpms: SoftwareTpm[] = [];
let ours: RawTpmDevice;
let theirs: RawTpmDevice;
let fingerprint = "";

const begin = (body: unknown) => plane.post("/api/v1/enrol/endorsed", body);
const activate = (challenge: unknown, secret: string) =>
  plane.post(`/api/v1/enrol/endorsed/${String(challenge)}`, { secret });
const list = "/api/v1/enrolments/endorsements";
/** The TPM itself said no, at the very step. */
const notOpened = {
  code: expect.stringMatching(/^tpm_/u) as string,
  message: expect.stringContaining("tpm2_activatecredential") as string,
};
const newPem = () =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();

/** The refusals that the audit log holds. */
async function readRefusals(): Promise<AuditEntry[]> {
  const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=500");
  return items.filter(({ action }) => action === "request.refuse");
}

beforeAll(async () => {
  if (missing !== null) return;
  await plane.start();
  tpms.push(await SoftwareTpm.start(join(dir, "ours")), await SoftwareTpm.start(join(dir, "theirs")));
  const [one, two] = tpms;
  if (one === undefined || two === undefined) throw new Error("no TPMs");
  ours = await RawTpmDevice.make(one, join(dir, "work-1"));
  theirs = await RawTpmDevice.make(two, join(dir, "work-2"));
  fingerprint = toKeyFingerprint(toPublicKey(parseTpmPublic(ours.endorsement.publicArea).key));
  const allowed = await plane.post(list, { fingerprint, labels: { site: "berlin" }, autoApprove: true });
  expect(allowed).toMatchObject({ status: 201, device: null, source: "operator" });
}, 120_000);
afterAll(async () => {
  for (const tpm of tpms) await tpm[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(missing !== null)(`what a TPM did not prove${missing === null ? "" : ` (${missing})`}`, () => {
  it("A44 refuses an endorsement key that nobody allowed, and says so in the audit log", async () => {
    const answer = await begin(await theirs.toRequest("cam-9"));
    expect(answer).toMatchObject({ status: 403, code: "endorsement_unknown" });
    expect(await readRefusals()).toContainEqual(expect.objectContaining({ reason: "endorsement_unknown" }));
  });

  it("A38 refuses whoever knows a public endorsement key and has another TPM", async () => {
    const request = await theirs.toRequest("cam-1");
    const endorsementKey = ours.endorsement.publicArea.toString("base64");
    const challenge = await begin({ ...request, endorsementKey });
    expect(challenge.status).toBe(201);
    await expect(theirs.open(challenge)).rejects.toMatchObject(notOpened);
    const guess = await activate(challenge["challengeId"], randomBytes(32).toString("base64"));
    expect(guess).toMatchObject({ status: 403, code: "activation_refused" });
    expect(JSON.stringify(await readRefusals())).toContain(fingerprint);
    expect((await plane.devices()).map(({ device }) => device)).not.toContain("cam-1");
  });

  it("A38 refuses another TPM's key beside the allowed endorsement key: the credential is bound to the key's name", async () => {
    const challenge = await begin({
      ...(await theirs.toRequest("cam-1")),
      endorsementKey: ours.endorsement.publicArea.toString("base64"),
    });
    // The allowed TPM itself opens it neither with its own key nor with the public part of the stranger's.
    await expect(ours.open(challenge)).rejects.toMatchObject(notOpened);
    const opened = ours.talk(async (tools) => {
      await tools.write("foreign.pub", Buffer.from(theirs.blobs.publicArea, "base64"));
      await tools.create("tpm2_loadexternal", ["-Q", "-C", "n", "-u", "foreign.pub", "-c", "key.ctx"]);
      await loadEndorsement(tools, "rsa");
      return await activateCredential(tools, challenge as never);
    });
    await expect(opened).rejects.toMatchObject(notOpened);
  });

  it("A38 refuses a key that is not in a TPM, that may leave it, or that is not the one that asks", async () => {
    const request = await ours.toRequest("cam-1");
    const csr = await createCertificateRequest(toFileSigner(newPem()), "cam-1");
    expect(await begin({ ...request, csr })).toMatchObject({ status: 403, code: "attestation_refused" });

    const movable = await ours.talk(async (tools) => {
      await tools.create("tpm2_createprimary", ["-Q", "-C", "o", "-G", "ecc", "-c", "p.ctx"]);
      const free = ["-a", "sign|sensitivedataorigin|userwithauth", "-u", "m.pub", "-r", "m.priv"];
      await tools.create("tpm2_create", ["-Q", "-C", "p.ctx", "-G", "ecc256", ...free]);
      return await tools.read("m.pub");
    });
    const answer = await begin({ ...request, publicArea: movable.toString("base64") });
    expect(answer).toMatchObject({ status: 403, code: "attestation_refused" });
    expect(answer["detail"]).toContain("fixedTpm, fixedParent");

    // A public area that claims what a software key is not: its credential opens nowhere.
    const forged = Buffer.from(ours.blobs.publicArea, "base64");
    const key = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const { x = "", y = "" } = key.publicKey.export({ format: "jwk" });
    Buffer.concat([Buffer.from(x, "base64url"), Buffer.from([0, 32]), Buffer.from(y, "base64url")]).copy(
      forged,
      forged.length - 66,
    );
    const pem = key.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const challenge = await begin({
      ...{ ...request, csr: await createCertificateRequest(toFileSigner(pem), "cam-1") },
      publicArea: forged.toString("base64"),
    });
    expect(challenge.status).toBe(201);
    await expect(ours.open(challenge)).rejects.toMatchObject(notOpened);
  });

  it("A38 admits the right TPM once: a replayed activation, a second name and another key for the name are refused", async () => {
    const challenge = await begin(await ours.toRequest("cam-1"));
    const secret = await ours.open(challenge);
    expect(await activate(challenge["challengeId"], secret)).toMatchObject({
      ...{ status: 200, state: "approved", device: "cam-1", assurance: "tpm-endorsed" },
    });
    expect(await activate(challenge["challengeId"], secret)).toMatchObject({ status: 403, code: "activation_refused" });
    expect(await begin(await ours.toRequest("cam-2"))).toMatchObject({ status: 409, code: "device_exists" });
    const token = await plane.post("/api/v1/enrolments/tokens", { autoApprove: true });
    const csr = await createCertificateRequest(toFileSigner(newPem()), "cam-1");
    const thief = { token: token["token"], device: "cam-1", csr, profile: "generic-x86" };
    expect(await plane.post("/api/v1/enrol", thief)).toMatchObject({ status: 409, code: "device_exists" });
    // The right key with a token, which says nothing of a TPM this time: what was proved of the key stays.
    const own = await createCertificateRequest(ours.signer, "cam-1");
    expect(await plane.post("/api/v1/enrol", { ...thief, csr: own })).toMatchObject({ status: 200 });
    expect(await plane.device("cam-1")).toMatchObject({ assurance: "tpm-endorsed", labels: { site: "berlin" } });
  });

  it("A38 issues a session's certificate only on a fresh signature of the device's own TPM", async () => {
    const path = "/api/v1/device/session";
    const { body } = await ours.toSessionRequest(plane, "cam-1");
    expect(await plane.post(path, body)).toMatchObject({ status: 201 });
    expect(await plane.post(path, body)).toMatchObject({ status: 403, code: "session_refused" });
    const byOther = await ours.toSessionRequest(plane, "cam-1", (message) => theirs.sign(message));
    expect(await plane.post(path, byOther.body)).toMatchObject({ status: 403, code: "session_refused" });
    const bySoftware = await ours.toSessionRequest(plane, "cam-1", (message) => sign("sha256", message, newPem()));
    expect(await plane.post(path, bySoftware.body)).toMatchObject({ status: 403, code: "session_refused" });
    const other = await ours.toSessionRequest(plane, "cam-1");
    const swapped = { ...other.body, publicKey: (await ours.toSessionRequest(plane, "cam-1")).body["publicKey"] };
    expect(await plane.post(path, swapped)).toMatchObject({ status: 403, code: "session_refused" });
    const nobody = await ours.toSessionRequest(plane, "cam-77");
    expect(await plane.post(path, nobody.body)).toMatchObject({ status: 403, code: "session_refused" });
  });

  it("does not let a session's key live on without the TPM, and ends the sessions of a key that was removed", async () => {
    const { body, keyPem } = await ours.toSessionRequest(plane, "cam-1");
    const { certificate } = await plane.post("/api/v1/device/session", body);
    const connect = { ca: readFileSync(join(plane.dir, "data", "ca.pem")), key: keyPem, cert: String(certificate) };
    const dispatcher = new Agent({ connect });
    try {
      const call = async (csr?: string) => {
        const sent = csr === undefined ? {} : { body: JSON.stringify({ csr }) };
        const answer = await request(`${plane.url}/api/v1/device/certificate`, {
          ...{ dispatcher, method: csr === undefined ? "GET" : "POST", ...sent },
          headers: { "content-type": "application/json" },
        });
        return { status: answer.statusCode, text: await answer.body.text() };
      };
      expect((await call()).status).toBe(200);
      const csr = await createCertificateRequest(toFileSigner(keyPem), "cam-1");
      expect(await call(csr)).toMatchObject({ status: 403, text: expect.stringContaining("session_refused") });
    } finally {
      await dispatcher.close();
    }
    await removeEndorsement();
    const late = await ours.toSessionRequest(plane, "cam-1");
    expect(await plane.post("/api/v1/device/session", late.body)).toMatchObject({
      ...{ status: 403, code: "endorsement_unknown" },
    });
    expect(await begin(await ours.toRequest("cam-1"))).toMatchObject({ code: "endorsement_unknown" });
  });
});

async function removeEndorsement(): Promise<void> {
  const dispatcher = new Agent({ connect: { ca: readFileSync(join(plane.dir, "data", "ca.pem")) } });
  try {
    const answer = await request(`${plane.url}${list}/${fingerprint}`, {
      ...{ dispatcher, method: "DELETE" },
      headers: { authorization: `Bearer ${plane.token}` },
    });
    expect(answer.statusCode).toBe(204);
    await answer.body.dump();
  } finally {
    await dispatcher.close();
  }
}
