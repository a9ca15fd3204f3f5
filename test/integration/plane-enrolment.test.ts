import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { AuditEntry, Problem } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli, runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { createRequest, enrol, RawDevice, startPlane, type Approved, type Harness } from "./plane-harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
});
afterAll(() => harness[Symbol.asyncDispose]());

const ask = async <Body = Approved>(json: object) =>
  await harness.call<Body>("POST", "/api/v1/enrol", { token: null, json: { profile: "generic-x86", ...json } });

describe("enrolment", () => {
  test("answers an automatic token with a certificate that names the device and its tenant", async () => {
    const token = await harness.createToken({ autoApprove: true, labels: { site: "berlin" } });
    const { csr } = await createRequest();
    const { status, body } = await ask({ token, device: "auto-1", csr, labels: { site: "else" } });
    expect(status).toBe(200);
    const certificate = new X509Certificate(body.certificate);
    expect(certificate.subject).toBe("CN=auto-1\nO=default");
    expect(certificate.verify(new X509Certificate(body.ca).publicKey)).toBe(true);
    expect(body.signingKeys[0]).toContain("BEGIN PUBLIC KEY");
    const device = await harness.plane.device("auto-1");
    expect(device).toMatchObject({ lifecycle: "enrolled", online: false, labels: { site: "berlin" } });
  });

  test("adds no label of the device's own to those that a token names which asks nobody; a person may", async () => {
    const labels = { site: "else", fleet: "secret" };
    const automatic = await harness.createToken({ autoApprove: true, labels: { site: "berlin" } });
    const refused = await ask<Problem>({
      token: automatic,
      device: "more-1",
      csr: (await createRequest()).csr,
      labels,
    });
    expect(refused).toMatchObject({ status: 403, body: { code: "enrolment_denied" } });
    expect(refused.body.detail).toContain("it asks for more: fleet");
    const waiting = await harness.createToken({ autoApprove: false, labels: { site: "berlin" } });
    const asked = await ask<{ state: string }>({
      ...{ token: waiting, device: "more-1", csr: (await createRequest()).csr, labels },
    });
    expect(asked.body.state).toBe("pending");
  });

  test("refuses a token that is for another kind of board, says so in the audit log, and spends none of its uses", async () => {
    const args = ["enrolments", "create-token", "--profile", "raspberry-pi-5", "--uses", "1", "--auto-approve"];
    const { token } = await runCliJson<{ token: string }>(args, harness.plane.cliEnv);
    const { csr } = await createRequest();
    const wrong = await ask<Problem>({ token, device: "board-1", csr });
    expect(wrong).toMatchObject({ status: 403, body: { code: "profile_mismatch" } });
    expect(wrong.body.detail).toContain("raspberry-pi-5");
    expect(wrong.body.detail).toContain("generic-x86");
    const { items } = (await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=20")).body;
    expect(items.find(({ reason }) => reason === "profile_mismatch")).toMatchObject({ actor: "anonymous" });
    const right = await ask({ token, device: "board-1", csr, profile: "raspberry-pi-5" });
    expect(right).toMatchObject({ status: 200, body: { device: "board-1" } });
    expect(await harness.plane.device("board-1")).toMatchObject({ profile: "raspberry-pi-5" });
    const spent = await ask<Problem>({ token, device: "board-2", csr, profile: "raspberry-pi-5" });
    expect(spent).toMatchObject({ status: 403, body: { code: "token_spent" } });
    const odd = await harness.call("POST", "/api/v1/enrolments/tokens", { json: { profile: "No Board" } });
    expect(odd.status).toBe(422);
  });

  test("gives the same answer to the same request again, and refuses the token to anyone else", async () => {
    const token = await harness.createToken({ autoApprove: true, uses: 1 });
    const { csr } = await createRequest();
    const first = await ask({ token, device: "once-1", csr });
    const again = await ask({ token, device: "once-1", csr });
    expect(again.body.certificate).toBe(first.body.certificate);
    const other = await ask<Problem>({ token, device: "once-2", csr: (await createRequest()).csr });
    expect(other).toMatchObject({ status: 403, body: { code: "token_spent" } });
    const thief = await ask<Problem>({ token, device: "once-1", csr: (await createRequest()).csr });
    expect(thief).toMatchObject({ status: 409, body: { code: "device_exists" } });
  });

  test("gives the same key a new certificate under a new token, and keeps what the device was", async () => {
    const { csr } = await createRequest();
    const enrolWith = async (labels: Record<string, string>, from = csr) =>
      ask({ token: await harness.createToken({ autoApprove: true }), device: "again-1", csr: from, labels });
    const first = await enrolWith({ site: "here" });
    const second = await enrolWith({ site: "there" });
    expect(second.status).toBe(200);
    expect(second.body.certificate).not.toBe(first.body.certificate);
    const device = await harness.plane.device("again-1");
    expect(device).toMatchObject({ lifecycle: "enrolled", labels: { site: "here" } });
    expect((await enrolWith({}, (await createRequest()).csr)).status).toBe(409);
  });

  test("never hands out a certificate that a renewal has followed: the same request gets one that counts, or is refused", async () => {
    const twice = await harness.createToken({ autoApprove: true, uses: 2 });
    const request = await createRequest();
    const asked = { token: twice, device: "image-1", csr: request.csr };
    const first = await ask(asked);
    const show = async (cert: string) => {
      const identity = { key: request.key, cert };
      return (await harness.call("GET", "/api/v1/device/certificate", { token: null, identity })).status;
    };
    const renewed = await harness.call<{ certificate: string }>("POST", "/api/v1/device/certificate", {
      ...{ token: null, json: { csr: request.csr }, identity: { key: request.key, cert: first.body.certificate } },
    });
    // Not used yet: what was answered first still counts.
    expect((await ask(asked)).body.certificate).toBe(first.body.certificate);
    expect(await show(renewed.body.certificate)).toBe(200);
    const again = await ask(asked);
    expect(again.status).toBe(200);
    expect([first.body.certificate, renewed.body.certificate]).not.toContain(again.body.certificate);
    expect((await ask(asked)).body.certificate).toBe(again.body.certificate);
    expect(await show(again.body.certificate)).toBe(200);
    expect([await show(first.body.certificate), await show(renewed.body.certificate)]).toEqual([401, 401]);
    const once = {
      token: await harness.createToken({ autoApprove: true, uses: 1 }),
      device: "image-1",
      csr: request.csr,
    };
    const last = await ask(once);
    expect(await show(last.body.certificate)).toBe(200);
    expect(await ask<Problem>(asked)).toMatchObject({ status: 403, body: { code: "token_spent" } });
    expect(await harness.plane.device("image-1")).toMatchObject({ lifecycle: "enrolled", cloned: null });
  });

  test("ends what runs on the old certificate at the first use of the new one, and not before: its answer may be lost", async () => {
    const { key, csr } = await createRequest();
    const enrolAgain = async () =>
      (await ask({ token: await harness.createToken({ autoApprove: true }), device: "twofold-1", csr })).body;
    const answer = await enrolAgain();
    const cert = answer.certificate;
    await using before = await RawDevice.connect(harness, { key, cert, answer });
    await before.birth();
    const ended = new Promise<void>((resolve) => void before.client.once("close", resolve));
    const next = (await enrolAgain()).certificate;
    const show = async (shown: string) => {
      const identity = { key, cert: shown };
      return (await harness.call("GET", "/api/v1/device/certificate", { token: null, identity })).status;
    };
    expect([await show(cert), before.client.connected]).toEqual([200, true]);
    expect(await show(next)).toBe(200);
    await ended;
    expect(await show(cert)).toBe(401);
    const { items } = (await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?subject=twofold-1")).body;
    expect(items.map(({ action }) => action)).toEqual(
      expect.arrayContaining(["device.issue-certificate", "device.renew-certificate"]),
    );
  });

  test("lists its tokens without their secrets, and lets nobody enrol with one that was revoked", async () => {
    const token = await harness.createToken({ autoApprove: true, uses: 5, description: "leaked" });
    const first = await createRequest();
    expect((await ask({ token, device: "leak-1", csr: first.csr })).status).toBe(200);
    type Listed = { tokenId: string; description: string; usesLeft: number };
    const list = async () => {
      const { text, body } = await harness.call<{ items: Listed[] }>("GET", "/api/v1/enrolments/tokens");
      expect(text).not.toContain(token);
      expect(text).not.toContain("hash");
      return body.items.find(({ description }) => description === "leaked");
    };
    const listed = await list();
    expect(listed).toMatchObject({ usesLeft: 4 });
    const cli = (...args: string[]) => runCli(["enrolments", ...args], harness.plane.cliEnv);
    expect((await cli("list-tokens")).stdout).toMatch(/4 uses left\s+automatic/u);
    expect(await cli("revoke-token", "tok-nobody", "--yes")).toMatchObject({ code: 3 });
    expect(await cli("revoke-token", listed?.tokenId ?? "", "--yes")).toMatchObject({ code: 0 });
    expect(await list()).toMatchObject({ usesLeft: 0 });
    const late = await ask<Problem>({ token, device: "leak-2", csr: (await createRequest()).csr });
    expect(late).toMatchObject({ status: 403, body: { code: "token_spent" } });
    expect(await harness.plane.device("leak-1")).toMatchObject({ lifecycle: "enrolled" });
    const { items } = (await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=20")).body;
    expect(items.find(({ action }) => action === "enrolment-token.revoke")).toMatchObject({
      ...{ subject: listed?.tokenId, details: { before: { usesLeft: 4 }, after: { usesLeft: 0 } } },
    });
  });

  test("lets exactly one of many racing requests have the last use", async () => {
    const token = await harness.createToken({ autoApprove: true, uses: 1 });
    const answers = await Promise.all(
      Array.from({ length: 8 }, async (_, index) =>
        ask({ token, device: `race-${index}`, csr: (await createRequest()).csr }),
      ),
    );
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
  });

  test("waits for an operator when the token says so", async () => {
    const token = await harness.createToken({ autoApprove: false });
    const { csr } = await createRequest();
    const asked = await ask<{ state: string; enrolmentId: string }>({ token, device: "manual-1", csr });
    expect(asked.body.state).toBe("pending");
    const path = `/api/v1/enrolments/${asked.body.enrolmentId}`;
    const poll = async (secret: string) =>
      await harness.call<Approved>("POST", `${path}/poll`, { token: null, json: { token: secret } });
    expect((await poll(token)).body.state).toBe("pending");
    expect((await poll(`fle_${"a".repeat(43)}.${"0".repeat(64)}`)).status).toBe(401);
    expect((await harness.call("POST", `${path}/approve`, { json: {} })).status).toBe(200);
    expect((await poll(token)).body).toMatchObject({ state: "approved", device: "manual-1" });
    expect((await harness.call("POST", `${path}/approve`, { json: {} })).status).toBe(409);
  });

  test("tells a device that it was denied and why", async () => {
    const token = await harness.createToken({ autoApprove: false });
    const asked = await ask<{ enrolmentId: string }>({ token, device: "denied-1", csr: (await createRequest()).csr });
    const path = `/api/v1/enrolments/${asked.body.enrolmentId}`;
    await harness.call("POST", `${path}/deny`, { json: { reason: "not ours" } });
    const poll = await harness.call("POST", `${path}/poll`, { token: null, json: { token } });
    expect(poll.body).toMatchObject({ state: "denied", reason: "not ours" });
  });

  test("refuses wrong and expired tokens and bad certificate requests", async () => {
    const { csr } = await createRequest();
    const wrong = await ask<Problem>({ token: `fle_${"x".repeat(43)}.${"0".repeat(64)}`, device: "bad-1", csr });
    expect(wrong).toMatchObject({ status: 401, body: { code: "token_invalid" } });
    const token = await harness.createToken();
    const garbage = await ask<Problem>({ token, device: "bad-2", csr: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n" });
    expect(garbage).toMatchObject({ status: 422, body: { code: "csr_invalid" } });
    const rsa = {
      name: "RSASSA-PKCS1-v1_5",
      hash: "SHA-256",
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
    };
    const weak = await ask<Problem>({ token, device: "bad-3", csr: (await createRequest(rsa)).csr });
    expect(weak).toMatchObject({ status: 422, body: { code: "csr_invalid" } });
    const named = await ask<Problem>({ token, device: "x/#", csr });
    expect(named.body.code).toBe("validation_failed");
    const forged = Buffer.from(csr.replaceAll(/-----[A-Z ]+-----|\s/gu, ""), "base64");
    forged[forged.length - 4] = (forged.at(-4) ?? 0) ^ 1;
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${forged.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    expect((await ask<Problem>({ token, device: "bad-4", csr: pem })).body.code).toBe("csr_invalid");
    const short = await harness.createToken({ autoApprove: true, uses: 1_000, ttlMs: 1_000 });
    const ages = { index: 0 };
    await eventually("the token expires", async () => {
      ages.index += 1;
      const late = await ask<Problem>({ token: short, device: `late-${ages.index}`, csr });
      return late.status === 403 && late.body.code === "token_spent";
    });
  });

  test("keeps no secret of the operator or a device in readable form", async () => {
    const token = await harness.createToken();
    const data = join(harness.dir, "data");
    for (const name of readdirSync(data).filter((file) => file.startsWith("plane.db"))) {
      const bytes = readFileSync(join(data, name)).toString("latin1");
      expect(bytes.includes(harness.plane.token.slice(0, 47))).toBe(false);
      expect(bytes.includes(token.slice(0, 47))).toBe(false);
    }
  });
});

describe("a device certificate", () => {
  test("opens no administrator's route, and a decommissioned one opens nothing", async () => {
    const identity = await enrol(harness, "cert-1");
    const asDevice = await harness.call<Problem>("GET", "/api/v1/devices", { token: null, identity });
    expect(asDevice).toMatchObject({ status: 403, body: { code: "forbidden" } });
    const device = await RawDevice.connect(harness, identity);
    const gone = new Promise<void>((resolve) => device.client.once("close", () => resolve()));
    expect((await harness.call("DELETE", "/api/v1/devices/cert-1")).status).toBe(200);
    await gone;
    await expect(RawDevice.connect(harness, identity)).rejects.toBeDefined();
    const after = await harness.call<Problem>("GET", "/api/v1/devices", { token: null, identity });
    expect(after).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
    expect((await enrol(harness, "cert-1")).answer.state).toBe("approved");
  });
});
