/**
 * What runtimes and drivers say of a device that this process will not get back: Dawn (WebGPU), Vulkan, Direct3D, and the
 * CUDA errors after which the context is gone (CUDA runtime API, cudaError_t: "the process must be terminated and
 * relaunched") or no device is left.
 */
const phrases: readonly RegExp[] = [
  /\[?\bdevice\b[^\]\n]{0,40}\]? (?:is|was|has been) lost/iu,
  /\bdevice lost\b/iu,
  /VK_ERROR_DEVICE_LOST/u,
  /DXGI_ERROR_DEVICE_(?:HUNG|REMOVED|RESET)/u,
  /CUDA (?:failure|error) (?:46|100|101|214|219|220|226|700|702|710|714|715|716|717|718|719|720|999)\b/u,
  /cudaError(?:DevicesUnavailable|NoDevice|InvalidDevice|ECCUncorrectable|NvlinkUncorrectable|IllegalAddress|LaunchTimeout|LaunchFailure|HardwareStackError|Assert|Unknown)\b/u,
];

/** Whether a failed run says by its words that its device is gone. One that does not may still be of such a device. */
export function isDeviceLost(message: string): boolean {
  return phrases.some((phrase) => phrase.test(message));
}
