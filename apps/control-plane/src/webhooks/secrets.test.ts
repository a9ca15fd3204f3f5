import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openSecretSeal } from "./secret-seal.ts";
import { createWebhookSecret, signMessage } from "./signature.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seal-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("signs id, time in seconds and body as a receiver checks it", () => {
  const secret = createWebhookSecret();
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/u);
  const headers = signMessage(secret, { deliveryId: "whd-1", nowMs: 1_700_000_000_999, body: '{"a":1}' });
  const key = Buffer.from(secret.slice(6), "base64");
  const expected = createHmac("sha256", key).update('whd-1.1700000000.{"a":1}').digest("base64");
  expect(headers).toEqual({
    "webhook-id": "whd-1",
    "webhook-timestamp": "1700000000",
    "webhook-signature": `v1,${expected}`,
  });
});

it("agrees with the example of Standard Webhooks", () => {
  const headers = signMessage("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", {
    deliveryId: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    nowMs: 1_614_265_330_000,
    body: '{"test": 2432232314}',
  });
  expect(headers["webhook-signature"]).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

it("opens what it sealed, after a restart too, and only for what it was sealed for", () => {
  const sealed = openSecretSeal(folder).seal("whsec_x", "whk-1");
  expect(statSync(join(folder, "webhooks.key")).mode & 0o777).toBe(0o600);
  expect(Buffer.from(sealed, "base64").toString("latin1")).not.toContain("whsec");
  expect(openSecretSeal(folder).open(sealed, "whk-1")).toBe("whsec_x");
  const refused = expect.objectContaining({ code: "key_unusable" }) as Error;
  expect(() => openSecretSeal(folder).open(sealed, "whk-2")).toThrowError(refused);
  const changed = Buffer.from(sealed, "base64");
  changed.writeUInt8(changed.readUInt8(30) ^ 1, 30);
  expect(() => openSecretSeal(folder).open(changed.toString("base64"), "whk-1")).toThrowError(refused);
  writeFileSync(join(folder, "webhooks.key"), "short");
  expect(() => openSecretSeal(folder)).toThrowError(refused);
});
