import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry, SignedRelease } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { callPlane, type PlaneAnswer, type PlaneCall } from "../support/call-plane.ts";
import { runCliJson } from "../support/cli.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-limit-"));
const perMinute = 100;
const plane = new TestPlane({ dir, args: ["--requests-per-minute", String(perMinute)] });
let digest = "";

beforeAll(async () => {
  await plane.start();
  await publishDigitReader(plane, "1.0.0");
  const { items } = await plane.get<{ items: SignedRelease[] }>("/api/v1/releases");
  digest = items[0]?.signed.content.builds[0]?.artifact.digest ?? "";
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const createToken = async (role: string) =>
  (await runCliJson<{ token: string }>(["tokens", "create", "--role", role], plane.cliEnv)).token;

/** Asks until the answer is no other than 429, at most twice as often as may be in a minute. */
async function askTooOften(call: PlaneCall): Promise<{ readonly answered: number; readonly last: PlaneAnswer }> {
  for (let answered = 0; ; answered += 1) {
    const last = await callPlane(plane, call);
    if (last.status === 429 || answered === 2 * perMinute) return { answered, last };
    expect(last.status).toBe(200);
  }
}

it("stops a caller who is known and asks too often, says for how long, and nobody else", async () => {
  const [busy, other] = [await createToken("viewer"), await createToken("viewer")];
  const call = { method: "GET", path: "/api/v1/devices" };
  const { answered, last } = await askTooOften({ ...call, token: busy });
  // Buckets fill up while they are emptied.
  expect(answered).toBeGreaterThanOrEqual(perMinute);
  expect(answered).toBeLessThan(2 * perMinute);
  expect(last).toMatchObject({ status: 429, body: { code: "rate_limited", hint: "wait 1 seconds" } });
  expect(last.headers["retry-after"]).toBe("1");
  // Elsewhere too, but for what has come back meanwhile: a request every 0.6 s.
  const elsewhere = await askTooOften({ ...call, token: busy, from: "127.0.0.7" });
  expect(elsewhere.answered).toBeLessThan(perMinute / 2);
  expect((await callPlane(plane, { ...call, token: other })).status).toBe(200);

  const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=200");
  const entries = items.filter(({ action }) => action === "address.lock-out");
  expect(entries.map(({ actor, reason }) => `${actor.replace(/:.*/u, "")} ${reason}`)).toEqual(["viewer rate_limited"]);

  // Artifacts in many ranges are another bucket.
  const range = { method: "GET", path: `/api/v1/artifacts/${digest}`, token: busy };
  for (let part = 0; part < perMinute + 20; part += 1)
    expect((await callPlane(plane, { ...range, headers: { range: `bytes=${part}-${part}` } })).status).toBe(206);
});

it("stops an address that nobody is known of at public documents, but never who asks whether the plane lives", async () => {
  const from = "127.0.0.9";
  const { answered, last } = await askTooOften({ method: "GET", path: "/api/v1/ca", from });
  expect(answered).toBeGreaterThanOrEqual(perMinute);
  expect(last).toMatchObject({ status: 429, body: { code: "rate_limited" } });
  for (const path of ["/healthz", "/readyz"])
    expect((await callPlane(plane, { method: "GET", path, from })).status).toBe(200);
  expect((await callPlane(plane, { method: "GET", path: "/api/v1/ca", from: "127.0.0.10" })).status).toBe(200);
});
