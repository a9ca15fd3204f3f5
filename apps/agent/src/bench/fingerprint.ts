import { toDocumentDigest } from "@fairlead/artifacts";
import { readHardwareIdentity, type DeviceProfile } from "@fairlead/hardware";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

export interface FingerprintOptions {
  readonly profile: DeviceProfile;
  /** What models may run on here, the preferred one first. */
  readonly providers: readonly string[];
  readonly threads: number;
  readonly deadlineMs: number;
  readonly durationMs: number;
}

/** Digest of everything that numbers of a benchmark depend on: machine, drivers, runtime, profile and settings. */
export async function readFingerprint({ profile, ...settings }: FingerprintOptions): Promise<string> {
  return toDocumentDigest({
    hardware: await readHardwareIdentity(),
    runtime: readRuntimeVersion(),
    profile: toDocumentDigest(JSON.parse(JSON.stringify(profile))),
    settings,
  });
}

/** Read from its package, since the supervisor never loads the runtime. */
function readRuntimeVersion(): string {
  try {
    const path = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
    const { version }: { version?: unknown } = { ...JSON.parse(readFileSync(path, "utf8")) };
    return typeof version === "string" ? `onnxruntime-node ${version}` : "unknown";
  } catch {
    return "unknown";
  }
}
