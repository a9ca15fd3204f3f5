import type { Tensor } from "./tensor.ts";

/** Smaller memory is cheaper to allocate than to send back. */
const minReleasedBytes = 65_536;

/** Memory of large inputs that the run has read and no output lies in: it can be filled again. */
export function toReleased(inputs: readonly Tensor[], outputs: readonly Tensor[]): ArrayBuffer[] {
  const released = new Set<ArrayBuffer>();
  for (const { data } of inputs) {
    const { buffer } = data;
    const aliased = outputs.some((output) => output.data.buffer === buffer);
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= minReleasedBytes && !aliased) released.add(buffer);
  }
  return [...released];
}

/** The runtime's messages end in line breaks, and some hold them. */
export function toMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, 4_000).replaceAll(/\s+/gu, " ").trim().slice(0, 2_000);
}
