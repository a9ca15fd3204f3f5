import { convModel, detectorModel } from "@fairlead/inference/testing";

/*
 * Models of a known cost: that of UltraFace RFB-320, a real face detector, on the same processor; 5 ms on a server's of 2024. They
 * are the same on every machine, since a slow one is slow at everything: a model that takes 5 ms there would be a smaller one,
 * and its quotient would say how slow the machine is.
 */

/** Pixels as a small detector takes them, 0.9 MB. */
export const imageShape: readonly number[] = [1, 3, 240, 320];
export const imagePixels: Float32Array = toPixels(3 * 240 * 320);
export const imageModel: Uint8Array = detectorModel();

/** 12 kB for the same time. */
export const smallShape: readonly number[] = [1, 3, 32, 32];
export const smallPixels: Float32Array = toPixels(3 * 32 * 32);
export const smallInputModel: Uint8Array = convModel({ height: 32, width: 32, channels: 64, depth: 14 });

function toPixels(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => (index % 255) / 255);
}
