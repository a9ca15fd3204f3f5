import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";
import { doublingModel, reshapeModel } from "./testing/example-models.ts";
import { describeRuntimeContract } from "./testing/runtime.contract.ts";

const driver = "/usr/lib/chromium/vk_swiftshader_icd.json";
const loader = ["x86_64", "aarch64"].map((arch) => `/usr/lib/${arch}-linux-gnu/libvulkan.so.1`).find(existsSync);
const absent = existsSync(driver) ? (loader === undefined ? "libvulkan1" : undefined) : "chromium";
const reason = absent === undefined ? undefined : `Debian's package ${absent} is not installed`;

describe.skipIf(reason !== undefined)(
  `webgpu${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  { timeout: 60_000 },
  () => {
    if (reason !== undefined) return;
    // The Vulkan loader reads the environment of the process when the first session is made.
    process.env["VK_DRIVER_FILES"] = driver;
    const runtimeFolder = mkdtempSync(join(tmpdir(), "fairlead-xdg-"));
    process.env["XDG_RUNTIME_DIR"] = runtimeFolder;
    afterAll(() => rmSync(runtimeFolder, { recursive: true }));
    describeRuntimeContract("onnxruntime on webgpu", {
      createRuntime: () => createOnnxRuntime(),
      providers: ["webgpu", "cpu"],
      doublingModel,
      // A process whose run hangs on a graphics driver is killed as a whole; nothing else may touch the driver before that.
      slowModel: null,
      failingModel: () => reshapeModel(7n),
    });
  },
);
