import { generateKeyPair, parseSigningKey } from "@fairlead/artifacts";
import {
  addDelegation,
  addRelease,
  createRoot,
  createTargets,
  signMetadata,
  toReleaseTarget,
  toTufKey,
  type TufSigner,
} from "@fairlead/artifacts/tuf";
import type { Client } from "@fairlead/client";
import { modelVersionSchema, releaseSchema, toId, type PublicationRequest } from "@fairlead/protocol";
import { randomBytes, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { publishFolder } from "./exchange.ts";
import { TrustFolder } from "./trust-folder.ts";

let folder: TrustFolder;
beforeEach(() => void (folder = new TrustFolder(mkdtempSync(join(tmpdir(), "exchange-")))));
afterEach(() => rmSync(folder.path, { recursive: true, force: true }));

const issuedAtMs = Date.parse("2026-01-01");
const life = { version: 1, expiresAtMs: Date.parse("2099-01-01") };
function createSigner(): TufSigner {
  const { publicKeyPem, privateKeyPem } = generateKeyPair();
  const { privateKey } = parseSigningKey(privateKeyPem);
  return { key: toTufKey(publicKeyPem), sign: async (bytes) => sign(null, bytes, privateKey) };
}
const tensor = { name: "x", elementType: "float32", shape: [4] };
const content = modelVersionSchema.parse({
  ...{ model: "reader", version: "1.0.0" },
  builds: [
    {
      artifact: { digest: `sha256:${"0".repeat(64)}`, sizeBytes: 10 },
      ...{ format: "onnx", target: { executionProviders: ["cpu"] } },
      ...{ precision: "fp32", quantization: "none", inputs: [tensor], outputs: [tensor] },
    },
  ],
  selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
});

/** A folder with one publisher who vouches for so many releases. */
async function signMany(count: number): Promise<string[]> {
  const signer = createSigner();
  const own = { keys: [signer.key], threshold: 1 };
  const spec = { root: own, targets: own, snapshot: own, timestamp: own };
  folder.save("root", await signMetadata(createRoot(spec, life), [signer]));
  const delegation = { ...own, role: "readers", models: ["*"] };
  folder.save(
    "targets",
    await signMetadata(addDelegation(createTargets(life), delegation, life.expiresAtMs), [signer]),
  );
  let document = createTargets(life);
  const ids: string[] = [];
  for (let number = 0; number < count; number += 1) {
    const release = releaseSchema.parse({
      ...{ type: "release", v: 1, tenant: "default", releaseId: toId("rel", issuedAtMs + number, randomBytes(16)) },
      ...{ issuedAtMs, expiresAtMs: life.expiresAtMs, content },
    });
    folder.saveRelease(release);
    document = addRelease(document, toReleaseTarget(release), life.expiresAtMs);
    ids.push(release.releaseId);
  }
  folder.save("readers", await signMetadata(document, [signer]));
  return ids;
}

it("hands more releases over than one publication holds, in several, and the documents once before them", async () => {
  const ids = await signMany(130);
  const sent: PublicationRequest[] = [];
  const trust: Partial<Client["trust"]> = {
    state: async () => ({ roles: {}, onlineKeys: [], problem: null }),
    publish: async (request) => {
      sent.push(request);
      return { roles: { root: 1 }, releases: (request.releases ?? []).map(({ releaseId }) => releaseId) };
    },
  };
  const models: Partial<Client["models"]> = { listReleases: async () => [] };
  const answer = await publishFolder({ trust, models } as Client, folder);
  expect(answer.releases.toSorted()).toEqual(ids.toSorted());
  expect(sent.map(({ releases }) => releases?.length)).toEqual([64, 64, 2]);
  expect(sent.map(({ documents }) => Object.keys(documents).length)).toEqual([3, 0, 0]);
});
