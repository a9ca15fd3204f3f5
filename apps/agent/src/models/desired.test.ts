import { createTrustRoots, documentTypes, generateKeyPair, parseSigningKey, signDocument } from "@fairlead/artifacts";
import { silentLogger } from "@fairlead/kernel";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createDesired, type DesiredOptions } from "./desired.ts";

const nowMs = 1_800_000_000_000;
const keys = generateKeyPair();
const signing = parseSigningKey(keys.privateKeyPem);
const enrolledKey = `sha256:${"b".repeat(64)}`;
const identity = { tenant: "acme", device: "cam-1", enrolledKey } as const;

/** Asks for one release, whose version is its generation. */
function toPayload(generation: number): Uint8Array {
  const build = {
    ...{ artifact: { digest: `sha256:${"a".repeat(64)}`, sizeBytes: 10 }, format: "onnx", precision: "int8" },
    ...{ quantization: "qdq", target: { executionProviders: ["cpu"] } },
    inputs: [{ name: "x", elementType: "float32", shape: [1] }],
    outputs: [{ name: "y", elementType: "float32", shape: [1] }],
  };
  const content = {
    ...{ model: "m", version: `${generation}.0.0`, description: "", classification: null, builds: [build] },
    selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
  };
  const signed = {
    ...{ type: "release", v: 1, tenant: "acme", releaseId: `rel-${String(generation).padStart(26, "0")}` },
    ...{ issuedAtMs: nowMs, expiresAtMs: nowMs + 86_400_000, content },
  };
  const document = {
    ...{ type: "desired-state", v: 1, ...identity, generation, issuedAtMs: nowMs, expiresAtMs: nowMs + 86_400_000 },
    slots: [{ slot: "reader", release: { signed }, rolloutId: null, attempt: 1, soakMs: 0 }],
    artifactUrls: ["https://localhost/api/v1/artifacts/{digest}"],
  };
  return Buffer.from(JSON.stringify(signDocument(document as never, signing)));
}

function open(change: Partial<DesiredOptions>) {
  const accepted: number[] = [];
  const refused: string[] = [];
  const desired = createDesired({
    ...{ ...identity, saved: { load: () => undefined, save: () => undefined }, logger: silentLogger },
    roots: createTrustRoots([{ publicKeyPem: keys.publicKeyPem, types: [...documentTypes] }]),
    time: { nowMs: () => nowMs, observe: () => undefined, observeLive: () => undefined } as never,
    self: { profile: "generic-x86", fleet: null, agentVersion: "1.0.0", firmware: null } as never,
    admit: async () => ({ kind: "admitted" }),
    onAccepted: ({ generation }) => void accepted.push(generation),
    onRefused: ({ code }) => void refused.push(code),
    ...change,
  });
  return { desired, accepted, refused };
}

describe("a desired state", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("that came while nobody could vouch for the one before it is the one that is followed in the end", async () => {
    let isReached = false;
    const { desired, accepted } = open({
      admit: async () => {
        const wasReached = isReached;
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        return wasReached ? { kind: "admitted" } : { kind: "unknown", reason: "unreachable" };
      },
    });
    desired.receive(toPayload(1));
    await vi.advanceTimersByTimeAsync(500);
    desired.receive(toPayload(2));
    await vi.advanceTimersByTimeAsync(2_500);
    isReached = true;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(accepted).toEqual([2]);
  });

  it("that finds no room on the disk is judged again until it does: nobody would send it once more", async () => {
    let isFull = true;
    const save = () => {
      if (isFull) throw new Error("ENOSPC: no space left on device");
    };
    const { desired, accepted, refused } = open({ saved: { load: () => undefined, save } });
    desired.receive(toPayload(1));
    await vi.advanceTimersByTimeAsync(6_000);
    expect([accepted, new Set(refused)]).toEqual([[], new Set(["not_saved"])]);
    isFull = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(accepted).toEqual([1]);
    const told = refused.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect([accepted, refused.length]).toEqual([[1], told]);
  });
});
