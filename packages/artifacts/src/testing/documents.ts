import type { Build, Command, DesiredState, Release } from "@fairlead/protocol";
import { generateKeyPair, parseSigningKey } from "../keys.ts";
import { createTrustRoots } from "../trust-roots.ts";

export const nowMs = 1_790_000_000_000;
const digest = `sha256:${"a".repeat(64)}`;
const enrolledKey = `sha256:${"e".repeat(64)}`;
const id = (prefix: string) => `${prefix}-${"0".repeat(26)}`;

export function toBuild(extra: Partial<Build> = {}): Build {
  return {
    artifact: { digest, sizeBytes: 1_000 },
    format: "onnx",
    precision: "int8",
    quantization: "qdq",
    target: { executionProviders: ["cpu"] },
    inputs: [{ name: "image", elementType: "float32", shape: ["batch", 1, 28, 28] }],
    outputs: [{ name: "digit", elementType: "float32", shape: ["batch", 10] }],
    ...extra,
  };
}

export function toRelease(extra: Partial<Release> = {}): Release {
  return {
    type: "release",
    v: 1,
    tenant: "acme",
    releaseId: id("rel"),
    issuedAtMs: nowMs - 1_000,
    expiresAtMs: nowMs + 86_400_000,
    content: {
      model: "digit-reader",
      version: "1.2.0",
      description: "reads digits",
      classification: null,
      builds: [toBuild()],
      selfTest: { golden: null, latencyP95Ms: 12.5, repeats: 20 },
    },
    ...extra,
  };
}

const commandPair = generateKeyPair();
const planePair = generateKeyPair();
/** Trusted for commands alone. */
export const commandKey = parseSigningKey(commandPair.privateKeyPem);
export const planeKey = parseSigningKey(planePair.privateKeyPem);
export const roots = createTrustRoots([
  { publicKeyPem: commandPair.publicKeyPem, types: ["command"] },
  { publicKeyPem: planePair.publicKeyPem, types: ["desired-state", "command"] },
]);

export function toDesiredState(extra: Partial<DesiredState> = {}): DesiredState {
  return {
    type: "desired-state",
    v: 1,
    tenant: "acme",
    device: "cam-1",
    enrolledKey,
    generation: 7,
    issuedAtMs: nowMs - 1_000,
    expiresAtMs: nowMs + 3_600_000,
    slots: [
      {
        slot: "reader",
        release: { signed: toRelease() },
        rolloutId: id("ro"),
        attempt: 1,
        soakMs: 1_000,
      },
    ],
    artifactUrls: ["https://plane.example/artifacts/{digest}"],
    ...extra,
  };
}

export function toCommand(extra: Partial<Command> = {}): Command {
  return {
    type: "command",
    v: 1,
    tenant: "acme",
    device: "cam-1",
    enrolledKey,
    commandId: id("cmd"),
    generation: 1,
    issuedAtMs: nowMs - 1_000,
    deadlineAtMs: nowMs + 60_000,
    action: { kind: "measure" },
    ...extra,
  };
}

export const here = {
  ...{ roots, tenant: "acme", device: "cam-1", enrolledKey, nowMs, maxSkewMs: 1_000, applied: null },
  self: { profile: "generic-x86", fleet: "north", agentVersion: "0.2.0", firmware: { "os.kernel": "6.1.0-18-amd64" } },
};
