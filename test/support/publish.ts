import { digitModelPath } from "./digits.ts";
import { prepareWithCli } from "./cli.ts";
import type { TestPlane } from "./plane.ts";

export const digitFiles = {
  "1.0.0": "digit-reader-1.0.0-int8.onnx",
  "1.1.0": "digit-reader-1.1.0-int8.onnx",
  "1.2.0": "digit-reader-1.2.0-int8-miscalibrated.onnx",
} as const;

export type DigitVersion = keyof typeof digitFiles;

/** Pushes and releases one version of the digit reader through the command line. */
export async function publishDigitReader(
  plane: TestPlane,
  version: DigitVersion,
  { classified = true }: { readonly classified?: boolean } = {},
): Promise<void> {
  const steps = [
    [
      ...["models", "push", digitModelPath(digitFiles[version]), "--model", "digit-reader", "--version", version],
      ...["--golden", digitModelPath(`golden-${version}.json`)],
      ...(classified ? ["--classification", "probabilities:0,1,2,3,4,5,6,7,8,9"] : []),
    ],
    ["releases", "sign", "digit-reader", version],
  ];
  for (const step of steps) await prepareWithCli(step, plane.cliEnv);
}
