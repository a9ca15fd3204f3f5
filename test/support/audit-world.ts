import { openStore } from "@fairlead/store";
import { toId } from "@fairlead/protocol";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createRequest } from "../integration/plane-harness.ts";
import { callPlane, type PlaneAnswer, type PlaneCall } from "./call-plane.ts";
import { digitModelPath } from "./digits.ts";
import type { TestPlane } from "./plane.ts";
import { seedFleet } from "./seed-fleet.ts";

/** What the caller is known as in the audit log, and from where it asked: an address, or a pattern of one. */
export interface Told {
  readonly actor: string;
  readonly from?: RegExp;
}

export interface Identity {
  readonly device: string;
  readonly key: string;
  readonly cert: string;
}

/** A device with a TPM whose endorsement key is allowed: what it asks with, step by step. */
export interface TpmSteps {
  readonly name: string;
  readonly request: Record<string, unknown>;
  /** What the TPM gets out of the credential. */
  readonly open: (challenge: Record<string, unknown>) => Promise<string>;
  readonly session: () => Promise<Record<string, string>>;
}
export interface WorldOptions {
  readonly plane: TestPlane;
  readonly seeded: { readonly cloned: string; readonly other: string };
  /** Throws where this machine has no TPM. */
  readonly toTpm: () => Promise<TpmSteps>;
}

const atMs = 1_790_000_000_000;
export const unknownId = (prefix: string): string => toId(prefix, atMs, new Uint8Array(16).fill(251));
export const seededAlert = toId("alr", atMs, new Uint8Array(16).fill(250));
export const newFingerprint = (): string => randomBytes(32).toString("hex");
export const toDigest = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A plane's data folder with what takes long to come about: a device that was used twice, one whose configuration was changed, a version that failed. */
export async function seedAuditWorld(folder: string): Promise<{ readonly cloned: string; readonly other: string }> {
  const [cloned, other] = await seedFleet(folder, ["berlin", "paris"]);
  if (cloned === undefined || other === undefined) throw new Error("no sites");
  const store = openStore({ folder, nowMs: atMs });
  await store.transaction(async (tx) => {
    const finding = { code: "chain_forked", reason: "seeded", evidence: ["seeded"], foundAtMs: atMs } as const;
    await tx.devices.update(cloned.device, {
      ...{ lifecycle: "quarantined", identityWatch: { lives: [], abandoned: [], finding } },
    });
    const config = { kind: "configuration", name: "config.yaml", actual: `sha256:${"0".repeat(64)}` } as const;
    await tx.devices.update(other.device, {
      fileBaseline: { trust: "first-use", recordedAtMs: atMs, digests: {} },
      measurements: [{ ...config, expected: null, reason: null }],
    });
    await tx.alerts.add({
      ...{ alertId: seededAlert, remediationId: null, device: null, kind: "plane-forked", state: "firing" },
      ...{ summary: "seeded", firedAtMs: atMs, resolvedAtMs: null },
    });
    await tx.knownBad.save({
      ...{ model: "bad-reader", version: "1.0.0", releaseId: unknownId("rel"), rolloutId: unknownId("rol") },
      ...{ code: "seeded", reason: "seeded", judgedAtMs: atMs },
      ...{ acceptedBy: null, acceptedAtMs: null, acceptedReason: null },
    });
  });
  await store.close();
  return { cloned: cloned.device, other: other.device };
}

/** Calls to one plane as its administrator, and the things that they are about. */
export function createAuditWorld({ plane, seeded, toTpm }: WorldOptions) {
  let count = 0;
  const ask = async (call: PlaneCall): Promise<PlaneAnswer> => {
    const answer = await callPlane(plane, call);
    if (answer.status < 300) return answer;
    throw new Error(`${call.method} ${call.path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
  const post = (path: string, json?: unknown, more: Partial<PlaneCall> = {}) =>
    ask({ method: "POST", path, token: plane.token, json, ...more });
  const createEnrolmentToken = async (autoApprove: boolean): Promise<string> =>
    String((await post("/api/v1/enrolments/tokens", { autoApprove, uses: 10 })).body["token"]);
  const toEnrolRequest = async (autoApprove: boolean) => {
    const { csr, key } = await createRequest();
    const device = `cam-${(count += 1)}`;
    const json = { token: await createEnrolmentToken(autoApprove), device, csr, profile: "generic-x86", labels: {} };
    return { key, json: { ...json, labels: { site: "guard" } } };
  };
  return {
    ...{ plane, seeded, ask, post, toEnrolRequest, toTpm },
    model: readFileSync(digitModelPath("digit-reader-1.0.0-int8.onnx")),
    /** A device that waits for an operator: its enrolment. */
    wait: async (): Promise<string> => {
      const { json } = await toEnrolRequest(false);
      return String((await ask({ method: "POST", path: "/api/v1/enrol", json })).body["enrolmentId"]);
    },
    enrol: async (): Promise<Identity> => {
      const { key, json } = await toEnrolRequest(true);
      const { body } = await ask({ method: "POST", path: "/api/v1/enrol", json });
      return { device: json.device, key, cert: String(body["certificate"]) };
    },
    databaseFile: join(plane.dir, "data", "plane.db"),
  };
}
export type AuditWorld = ReturnType<typeof createAuditWorld>;
