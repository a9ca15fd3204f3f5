import { expect, it } from "vitest";
import { isDeviceLost } from "./device-lost.ts";

it.each([
  "Failed to download data from buffer. wgpu::MapAsyncStatus value: 4, message: [Device] is lost.",
  `[Device "onnxruntime"] is lost.`,
  "WebGPU device lost (2): A valid external Instance reference no longer exists.",
  "vkQueueSubmit failed with VK_ERROR_DEVICE_LOST",
  "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=edge ; expr=cudaStreamSynchronize(stream)",
  "CUDA failure 999: unknown error",
  "cudaErrorECCUncorrectable: uncorrectable ECC error encountered",
  "Device removed: DXGI_ERROR_DEVICE_REMOVED",
])("takes a device for lost that is said to be: %s", (message) => {
  expect(isDeviceLost(message)).toBe(true);
});

it.each([
  "Non-zero status code returned while running Reshape node. The input tensor cannot be reshaped to the requested shape",
  "Failed to download data from buffer. wgpu::MapAsyncStatus value: 3, message: [Invalid Buffer (unlabeled)] is invalid",
  "CUDA failure 2: out of memory ; GPU=0",
  "CUDA failure 7000",
  "",
])("does not take a failed run for a lost device: %s", (message) => {
  expect(isDeviceLost(message)).toBe(false);
});
