import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const driver = "/usr/lib/chromium/vk_swiftshader_icd.json";
const loader = ["x86_64", "aarch64"].map((arch) => `/usr/lib/${arch}-linux-gnu/libvulkan.so.1`).find(existsSync);

/** Why no WebGPU provider can run here, or undefined when one can: Chromium brings a Vulkan driver that needs no GPU. */
export function whyNoSwiftShader(): string | undefined {
  if (!existsSync(driver)) return "Debian's package chromium is not installed";
  return loader === undefined ? "Debian's package libvulkan1 is not installed" : undefined;
}

/** Environment in which the runtime finds SwiftShader as its only Vulkan device. */
export function toSwiftShader(): Record<string, string> {
  return { VK_DRIVER_FILES: driver, XDG_RUNTIME_DIR: mkdtempSync(join(tmpdir(), "fairlead-xdg-")) };
}
