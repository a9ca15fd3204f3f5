import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";
import { buildOnnxModel, type WrittenValue } from "./testing/onnx-writer.ts";
import { describeRuntimeContract } from "./testing/runtime.contract.ts";

const driver = "/usr/lib/chromium/vk_swiftshader_icd.json";
const loader = ["x86_64", "aarch64"].map((arch) => `/usr/lib/${arch}-linux-gnu/libvulkan.so.1`).find(existsSync);
const absent = existsSync(driver) ? (loader === undefined ? "libvulkan1" : undefined) : "chromium";
const reason = absent === undefined ? undefined : `Debian's package ${absent} is not installed`;

const edge = (name: string, shape: WrittenValue["shape"]): WrittenValue => ({ name, type: "float32", shape });
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
      doublingModel: () =>
        buildOnnxModel({
          graph: {
            nodes: [{ op: "Add", inputs: ["x", "x"], outputs: ["y"] }],
            inputs: [edge("x", ["batch", 4])],
            outputs: [edge("y", ["batch", 4])],
          },
        }),
      // A process whose run hangs on a graphics driver is killed as a whole; nothing else may touch the driver before that.
      slowModel: null,
      failingModel: () =>
        buildOnnxModel({
          graph: {
            nodes: [{ op: "Reshape", inputs: ["x", "shape"], outputs: ["y"] }],
            initializers: [{ name: "shape", type: "int64", dims: [1], data: BigInt64Array.of(7n) }],
            inputs: [edge("x", ["n"])],
            outputs: [edge("y", ["m"])],
          },
        }),
    });
  },
);
