import { toDocumentDigest } from "@fairlead/artifacts";
import { readHardwareIdentity, type DeviceProfile } from "@fairlead/hardware";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { RuntimesConfig } from "../serving/runtime-config.ts";

export interface FingerprintOptions {
  /** Folder that stands for `/`. */
  readonly root: string;
  /** `VK_DRIVER_FILES` of the process that runs models; it has ours. */
  readonly vulkanDriverFiles: string | undefined;
  readonly profile: DeviceProfile;
  /** What models may run on here, the preferred one first. */
  readonly providers: readonly string[];
  /** Accelerators whose sessions have processes of their own. */
  readonly isolated: readonly string[];
  /** What a load beyond it is refused for. */
  readonly memoryLimitBytes: number;
  readonly models: object;
  readonly runtimes: RuntimesConfig;
  readonly threads: number;
  readonly deadlineMs: number;
  readonly durationMs: number;
}

/**
 * Digest of everything on the device that numbers of a benchmark depend on: machine, drivers, runtimes, profile and
 * settings. Where each build of a slot runs is not in it; see `ChooserOptions.toPlace`.
 */
export async function readFingerprint(options: FingerprintOptions): Promise<string> {
  const { root, vulkanDriverFiles, profile, runtimes, ...settings } = options;
  return toDocumentDigest({
    hardware: await readHardwareIdentity(root, vulkanDriverFiles),
    runtime: readRuntimeVersion(),
    profile: toDocumentDigest(toPlainData(profile)),
    settings: toPlainData(settings),
    servers: toServers(runtimes),
  });
}

/** Which slots they have is a matter of places, and how long they may take changes no number. */
function toServers(runtimes: RuntimesConfig): object {
  return Object.fromEntries(
    Object.entries(runtimes).map(
      ([name, { command, url, control, tensors, providers, environment, memoryLimitBytes }]) => [
        name,
        { command, url, control, tensors, providers, environment, memoryLimitBytes },
      ],
    ),
  );
}

const toPlainData = (value: object): object => Object(JSON.parse(JSON.stringify(value)));

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
