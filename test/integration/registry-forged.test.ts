import { forgedModels } from "@fairlead/inference/testing";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { digitModelPath } from "../support/digits.ts";
import { TestPlane } from "../support/plane.ts";

/*
 * Models made to do harm (attacks A13 to A21), sent to a real plane: the same files that the device's serving process is given.
 * The plane refuses each by what its bytes say, keeps nothing of it, and answers as before.
 */

const dir = mkdtempSync(join(tmpdir(), "registry-forged-"));
const plane = new TestPlane({ dir });
const good = readFileSync(digitModelPath("digit-reader-1.1.0-int8.onnx"));
let agent: Agent;
beforeAll(async () => {
  await plane.start();
  agent = new Agent({ connect: { ca: readFileSync(join(dir, "data", "ca.pem"), "utf8") } });
}, 60_000);
afterAll(async () => {
  await agent.close();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function put(digest: string, bytes: Uint8Array) {
  const answer = await request(`${plane.url}/api/v1/artifacts/${digest}?kind=onnx`, {
    method: "PUT",
    headers: { authorization: `Bearer ${plane.token}`, "content-length": String(bytes.byteLength) },
    body: bytes,
    dispatcher: agent,
  });
  return { status: answer.statusCode, json: (await answer.body.json()) as Record<string, unknown> };
}
const toDigest = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const listFiles = () =>
  readdirSync(join(dir, "data", "artifacts"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
interface AuditItem {
  readonly action: string;
  readonly subject: string;
  readonly reason: string;
}

describe("a forged model that is sent to the plane", () => {
  it.each(forgedModels(good))("$name", async ({ code, bytes }) => {
    const digest = toDigest(bytes);
    // A device knows from the release how long a file is; here nothing is what was announced, and it is no model.
    const said = bytes.length === 0 ? "not_onnx" : code;
    const answer = await put(digest, bytes);
    expect(answer).toMatchObject({ status: 422, json: { code: said, hint: expect.stringMatching(/\w{3}/u) } });
    expect(JSON.stringify(answer.json).length).toBeLessThan(2_000);
    expect(listFiles()).toEqual([]);
    const { items } = await plane.get<{ items: AuditItem[] }>("/api/v1/audit?limit=100");
    const entry = items.find(({ action, subject }) => action === "request.refuse" && subject.includes(digest));
    expect(entry).toMatchObject({ reason: said });
    expect(await plane.get("/healthz")).toBeDefined();
  });

  it("leaves a plane that takes the good one", async () => {
    expect(await put(toDigest(good), good)).toMatchObject({ json: { created: true } });
    expect(listFiles()).toEqual([toDigest(good).slice(7)]);
    expect(plane.process.running).toBe(true);
  });
});
