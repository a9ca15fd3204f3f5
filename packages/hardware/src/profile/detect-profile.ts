import { CodedError } from "@fairlead/kernel";
import { listNode, readNode } from "../root.ts";
import type { ProfileErrorCode } from "./load-profiles.ts";
import type { DetectTest, DeviceProfile } from "./profile.ts";

export interface DetectOptions {
  /** Folder that stands for `/`. Default `/`. */
  readonly root?: string;
  /** Default: the architecture of this process. */
  readonly arch?: string;
}

const pciBase = "sys/bus/pci/devices";

/**
 * The profile that says most about this machine: of all groups whose tests hold, the one with most tests; of equals,
 * the first in order of names.
 * @throws CodedError `profile_unknown` when none matches.
 */
export async function detectProfile(
  profiles: readonly DeviceProfile[],
  { root = "/", arch = process.arch }: DetectOptions = {},
): Promise<DeviceProfile> {
  let best: { readonly profile: DeviceProfile; readonly tests: number } | null = null;
  const ordered = profiles.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const profile of ordered) {
    for (const { all } of profile.detect) {
      const held = await Promise.all(all.map((test) => isHeld(test, root, arch)));
      if (held.every(Boolean) && all.length > (best?.tests ?? 0)) best = { profile, tests: all.length };
    }
  }
  if (best !== null) return best.profile;
  throw new CodedError<ProfileErrorCode>("profile_unknown", `no board profile matches this ${arch} machine`, {
    hint: `name one of ${ordered.map(({ metadata }) => metadata.name).join(", ") || "(none were loaded)"} in the configuration`,
  });
}

async function isHeld(test: DetectTest, root: string, arch: string): Promise<boolean> {
  if ("arch" in test) return test.arch === arch;
  if ("deviceTreeCompatible" in test) {
    const node = await readNode(root, "proc/device-tree/compatible");
    return node.kind === "text" && node.text.split("\0").includes(test.deviceTreeCompatible);
  }
  if ("fileMatches" in test) {
    const node = await readNode(root, test.fileMatches.path);
    return node.kind === "text" && new RegExp(test.fileMatches.regex, "mu").test(node.text);
  }
  return hasPciDevice(root, test.pci.vendor, test.pci.device);
}

async function hasPciDevice(root: string, vendor: string, device: string | undefined): Promise<boolean> {
  for (const entry of await listNode(root, pciBase)) {
    const vendorNode = await readNode(root, `${pciBase}/${entry}/vendor`);
    if (vendorNode.kind === "none" || vendorNode.text !== vendor) continue;
    if (device === undefined) return true;
    const deviceNode = await readNode(root, `${pciBase}/${entry}/device`);
    if (deviceNode.kind === "text" && deviceNode.text === device) return true;
  }
  return false;
}
