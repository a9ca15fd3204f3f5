import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";
import { buildOnnxModel, type WrittenNode, type WrittenValue } from "./testing/onnx-writer.ts";
import { describeRuntimeContract } from "./testing/runtime.contract.ts";

const driver = "/usr/lib/chromium/vk_swiftshader_icd.json";
const loader = ["x86_64", "aarch64"].map((arch) => `/usr/lib/${arch}-linux-gnu/libvulkan.so.1`).find(existsSync);
const absent = existsSync(driver) ? (loader === undefined ? "libvulkan1" : undefined) : "chromium";
const reason = absent === undefined ? undefined : `Debian's package ${absent} is not installed`;

const edge = (name: string, shape: WrittenValue["shape"]): WrittenValue => ({ name, type: "float32", shape });
const chain = 400;
const width = 512;

/** Many multiplications in a row: each is quick, and a software graphics driver takes its time for all of them. */
function longChain(): Uint8Array<ArrayBuffer> {
  const multiply = (from: string, by: string, to: string): WrittenNode => ({
    op: "MatMul",
    inputs: [from, by],
    outputs: [to],
  });
  const nodes = Array.from({ length: chain }, (_, index) => multiply(`h${index}`, "w", `h${index + 1}`));
  return buildOnnxModel({
    graph: {
      nodes: [multiply("x", "first", "h0"), ...nodes, multiply(`h${chain}`, "last", "y")],
      initializers: [
        { name: "first", type: "float32", dims: [4, width], data: new Float32Array(4 * width).fill(0.01) },
        { name: "w", type: "float32", dims: [width, width], data: new Float32Array(width * width).fill(0.001) },
        { name: "last", type: "float32", dims: [width, 4], data: new Float32Array(4 * width).fill(0.01) },
      ],
      inputs: [edge("x", ["batch", 4])],
      outputs: [edge("y", ["batch", 4])],
    },
  });
}

describe.skipIf(reason !== undefined)(
  `webgpu${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  { timeout: 60_000 },
  () => {
    if (reason !== undefined) return;
    // The Vulkan loader reads the environment of the process when the first session is made.
    process.env["VK_DRIVER_FILES"] = driver;
    process.env["XDG_RUNTIME_DIR"] ??= mkdtempSync(join(tmpdir(), "fairlead-xdg-"));
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
      slowModel: longChain,
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
