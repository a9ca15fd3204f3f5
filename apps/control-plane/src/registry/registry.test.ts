import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPair, parseSigningKey, signDocument } from "@fairlead/artifacts";
import { mlpModel } from "@fairlead/inference/testing";
import { CodedError, silentLogger } from "@fairlead/kernel";
import { registerVersionRequestSchema } from "@fairlead/protocol";
import { openStore, type DesiredSlotRow, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createId } from "../create-id.ts";
import { mayDeviceFetch } from "./admit-device.ts";
import { createArtifactFiles, type ArtifactFiles } from "./artifact-files.ts";
import { inspectFile } from "./inspect-upload.ts";
import { registerVersion } from "./register-version.ts";
import { storeArtifact, type RegistryContext } from "./store-artifact.ts";

const nowMs = 1_790_000_000_000;
const actor = "admin:adm";
const by = { actor, from: "127.0.0.1" };
let folder = "";
let store: Store;
let files: ArtifactFiles;
let context: RegistryContext;
let actions: string[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "registry-"));
  store = openStore({ folder, nowMs });
  files = createArtifactFiles({ folder: join(folder, "artifacts"), reserveBytes: 0 });
  await files.prepare(new Set());
  actions = [];
  const key = parseSigningKey(generateKeyPair().privateKeyPem);
  context = {
    store,
    tenant: "default",
    clock: { nowMs: () => nowMs, monotonicMs: () => 0 },
    logger: silentLogger,
    createId: (prefix) => createId(prefix, nowMs),
    sign: (document) => signDocument(document, key),
    audit: {
      append: async (_tx, { action }) => {
        actions.push(action);
      },
    },
    stream: { emit: async () => undefined },
    operators: {},
    inspect: inspectFile,
  };
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const model = mlpModel({ widths: [4, 3] });
const toDigest = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

async function upload(
  bytes: Uint8Array,
  options: { readonly digest?: string; readonly kind?: "onnx" | "golden" } = {},
) {
  const body = new Response(Buffer.from(bytes)).body;
  const { digest = toDigest(bytes), kind = "onnx" } = options;
  const headers = new Headers({ "content-length": String(bytes.byteLength) });
  return await storeArtifact(context, files, {
    digest,
    kind,
    headers,
    body,
    signal: new AbortController().signal,
    ...by,
  });
}

function storedFiles(): string[] {
  return readdirSync(join(folder, "artifacts"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

async function release(version: string) {
  const { digest } = await upload(model);
  const body = registerVersionRequestSchema.parse({ version, builds: [{ digest, target: {} }] });
  await registerVersion(context, files, { model: "reader", body, ...by });
  const content = (await store.read.modelVersions.get("reader", version))?.content;
  if (content === undefined) throw new Error("not registered");
  const releaseId = createId("rel", nowMs);
  const stamp = { releaseId, expiresAtMs: nowMs + 60_000 };
  const document = {
    signed: { type: "release", v: 1, tenant: "default", ...stamp, issuedAtMs: nowMs, content },
  } as const;
  await store.transaction((tx) =>
    tx.releases.add({ ...stamp, model: "reader", version, document, createdAtMs: nowMs, createdBy: actor }),
  );
  return document;
}

describe("storing an artifact", () => {
  test("keeps the same bytes once and inspects them", async () => {
    const first = await upload(model);
    expect(first).toMatchObject({ created: true, inspection: { nodeCount: 2 } });
    expect(await upload(model)).toEqual({ ...first, created: false });
    expect(storedFiles()).toEqual([toDigest(model).slice(7)]);
    expect(actions).toEqual(["artifact.store"]);
  });

  test("keeps one file of two uploads at the same time", async () => {
    const answers = await Promise.all([upload(model), upload(model), upload(model)]);
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
    expect(storedFiles()).toHaveLength(1);
  });

  test("puts back a file that was lost from the disk", async () => {
    const { digest } = await upload(model);
    await files.remove(digest);
    expect((await upload(model)).created).toBe(false);
    expect(storedFiles()).toHaveLength(1);
  });

  test("puts back a file whose bytes were damaged on the disk, and says so in the audit log", async () => {
    const { digest } = await upload(model);
    const path = join(folder, "artifacts", "sha256", digest.slice(7, 9), digest.slice(7));
    const damaged = Buffer.from(model);
    damaged[5] = (damaged[5] ?? 0) ^ 1;
    writeFileSync(path, damaged);
    expect((await upload(model)).created).toBe(false);
    expect(toDigest(readFileSync(path))).toBe(digest);
    await upload(model);
    expect(actions).toEqual(["artifact.store", "artifact.heal"]);
  });

  test("says which digest came instead of the expected one", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    await expect(upload(model, { digest })).rejects.toMatchObject({
      code: "digest_mismatch",
      message: expect.stringContaining(toDigest(model)) as string,
    });
    expect(storedFiles()).toEqual([]);
  });

  test("refuses a golden set that is none, with the field that is wrong", async () => {
    const golden = Buffer.from(JSON.stringify({ v: 1, cases: [{ name: "a" }] }));
    await expect(upload(golden, { kind: "golden" })).rejects.toMatchObject({
      code: "validation_failed",
      message: expect.stringContaining("cases.0.inputs") as string,
    });
    expect(storedFiles()).toEqual([]);
  });

  test("leaves no file when its row cannot be written", async () => {
    const broken: RegistryContext = {
      ...context,
      audit: { append: () => Promise.reject(new CodedError("storage_full", "the disk is full")) },
    };
    context = broken;
    await expect(upload(model)).rejects.toMatchObject({ code: "storage_full" });
    expect(storedFiles()).toEqual([]);
    expect(await store.read.artifacts.get(toDigest(model))).toBeUndefined();
  });
});

describe("registering and releasing", () => {
  test("a version never changes, and the same request again changes nothing", async () => {
    const { digest } = await upload(model);
    const body = registerVersionRequestSchema.parse({ version: "1.0.0", builds: [{ digest, target: {} }] });
    expect((await registerVersion(context, files, { model: "reader", body, ...by })).created).toBe(true);
    expect((await registerVersion(context, files, { model: "reader", body, ...by })).created).toBe(false);
    const other = { ...body, description: "other" };
    await expect(registerVersion(context, files, { model: "reader", body: other, ...by })).rejects.toMatchObject({
      code: "version_exists",
    });
  });

  test("a device may fetch what it should run, and nothing else", async () => {
    const signed = await release("1.0.0");
    const digest = toDigest(model);
    const { releaseId } = signed.signed;
    const formerDigest = `sha256:${"f".repeat(64)}`;
    const slot: DesiredSlotRow = {
      ...{ device: "edge-1", slot: "reader", releaseId, model: "reader", version: "1.0.0" },
      ...{ rolloutId: null, attempt: 1, soakMs: 0, release: signed, shadow: null, updatedAtMs: nowMs },
      knownDigests: [formerDigest],
    };
    const listSlots = async (device: string) => (device === slot.device ? [slot] : []);
    const read = { devices: { ...store.read.devices, listSlots } };
    expect(await mayDeviceFetch(read, "edge-1", digest)).toBe(true);
    // The build before: the device may have gone back to it by itself and have to repair it.
    expect(await mayDeviceFetch(read, "edge-1", formerDigest)).toBe(true);
    expect(await mayDeviceFetch(read, "edge-2", digest)).toBe(false);
    expect(await mayDeviceFetch(read, "edge-1", `sha256:${"0".repeat(64)}`)).toBe(false);
  });
});

test("a stored file is exactly what was uploaded", async () => {
  const { digest } = await upload(model);
  const hex = digest.slice(7);
  expect(readFileSync(join(folder, "artifacts", "sha256", hex.slice(0, 2), hex)).equals(Buffer.from(model))).toBe(true);
});
