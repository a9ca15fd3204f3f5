import { listNode, readNode } from "./root.ts";
import { readVulkanDrivers } from "./vulkan-drivers.ts";

/** Lines of /proc/cpuinfo that tell one processor from another; clock rates and addresses change by themselves. */
const processorLines =
  /^(?:vendor_id|model name|cpu family|model|stepping|flags|Features|CPU (?:implementer|architecture|variant|part|revision))\s*:/u;
const deviceFolders = ["/sys/class/drm", "/sys/class/accel", "/sys/class/misc"] as const;
const deviceNames = /^(?:card\d+|accel\d+|hailo\d*|apex_\d+|rknpu)$/u;

/**
 * What this machine computes with and the drivers under it, as text that stays the same until one of them changes.
 * Parts that a machine does not have are absent. No library of an accelerator is loaded for it.
 * @param root stands for `/`
 * @param vulkanDriverFiles what `VK_DRIVER_FILES` says to the process that runs models
 */
export async function readHardwareIdentity(root = "/", vulkanDriverFiles?: string): Promise<Record<string, string>> {
  const parts: Record<string, string> = {};
  const put = async (name: string, path: string) => {
    const node = await readNode(root, path);
    const text = node.kind === "text" ? node.text.replaceAll("\u0000", "") : "";
    if (text !== "") parts[name] = text;
  };
  const cpu = await readNode(root, "/proc/cpuinfo");
  if (cpu.kind === "text") {
    const lines = cpu.text.split("\n").filter((line) => processorLines.test(line));
    parts["processors"] = [...new Set(lines)].join("\n");
    parts["processorCount"] = String(cpu.text.split("\n").filter((line) => /^processor\s*:/u.test(line)).length);
  }
  await put("board", "/proc/device-tree/model");
  await put("product", "/sys/class/dmi/id/product_name");
  await put("nvidiaDriver", "/proc/driver/nvidia/version");
  for (const folder of deviceFolders) {
    for (const name of (await listNode(root, folder)).filter((entry) => deviceNames.test(entry))) {
      await put(`${name}.vendor`, `${folder}/${name}/device/vendor`);
      await put(`${name}.device`, `${folder}/${name}/device/device`);
      await put(`${name}.driver`, `${folder}/${name}/device/driver/module/version`);
      // Drivers that come with the kernel have its version.
      await put("kernel", "/proc/sys/kernel/osrelease");
    }
  }
  return { ...parts, ...(await readVulkanDrivers(root, vulkanDriverFiles)) };
}
