import { readFileSync } from "node:fs";

export interface Digit {
  readonly label: number;
  /** 64 grey values in 0..1, row by row. */
  readonly pixels: Float32Array;
}

/** The UCI handwritten digits (CC BY 4.0, see the README beside the file): `split,label,p0..p63` with pixels 0..16. */
export function loadDigits(split: "train" | "test"): Digit[] {
  const text = readFileSync(new URL("../fixtures/digits/digits.csv", import.meta.url), "utf8");
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${split},`))
    .map((line) => {
      const [, label, ...pixels] = line.split(",");
      return { label: Number(label), pixels: Float32Array.from(pixels, (value) => Number(value) / 16) };
    });
}

export function digitModelPath(file: string): string {
  return new URL(`../fixtures/digits/${file}`, import.meta.url).pathname;
}

/** Body and headers of one Open Inference Protocol request with a binary tensor for one digit. */
export function toInferRequest(digit: Digit): { body: Buffer; headers: Record<string, string> } {
  const header = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: "image",
          shape: [1, 1, 8, 8],
          datatype: "FP32",
          parameters: { binary_data_size: digit.pixels.byteLength },
        },
      ],
      outputs: [{ name: "probabilities", parameters: { binary_data: true } }],
    }),
  );
  const tensor = Buffer.from(digit.pixels.buffer, digit.pixels.byteOffset, digit.pixels.byteLength);
  return {
    body: Buffer.concat([header, tensor]),
    headers: { "content-type": "application/octet-stream", "inference-header-content-length": String(header.length) },
  };
}

/** The predicted digit of a binary answer with one FP32 output of ten probabilities. */
export function toPrediction(body: Buffer, headerLength: number): number {
  const tensor = body.subarray(headerLength);
  let best = 0;
  for (let index = 1; index < 10; index += 1) {
    if (tensor.readFloatLE(index * 4) > tensor.readFloatLE(best * 4)) best = index;
  }
  return best;
}
