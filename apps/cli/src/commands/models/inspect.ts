import { InspectionError, inspectOnnxFile, type OnnxInspection } from "@fairlead/inference/inspect";
import type { Command } from "../../command.ts";
import { measureArtifact } from "../../models/local-artifact.ts";
import { firstArgument } from "../../input.ts";
import { toTensorText } from "./view.ts";

/** The inspection knows bytes; the user knows file names. */
async function inspectLocal(path: string): Promise<OnnxInspection> {
  try {
    return await inspectOnnxFile(path);
  } catch (error) {
    if (!(error instanceof InspectionError)) throw error;
    throw new InspectionError(error.code, `${path}: ${error.message}`, error);
  }
}

export const inspectModel: Command = {
  noun: "models",
  verb: "inspect",
  summary: "Read an ONNX file here, without a server: tensors, operators, precision, quantization",
  arguments: [{ syntax: "<file>", description: "ONNX file" }],
  async run({ out }, input) {
    const path = firstArgument(input);
    const { digest, sizeBytes } = await measureArtifact(path, "onnx");
    const inspection = await inspectLocal(path);
    out.one(
      { digest, sizeBytes, ...inspection },
      {
        name: (item) => item.digest,
        describe: (item) => [
          `file          ${path}, ${item.sizeBytes} bytes`,
          `digest        ${item.digest}`,
          `producer      ${item.producerName || "not stated"}, IR ${item.irVersion}`,
          `opsets        ${item.opsets.map((opset) => `${opset.domain || "ai.onnx"} ${opset.version}`).join(", ")}`,
          `precision     ${item.precision}, quantization ${item.quantization}`,
          `parameters    ${item.parameterCount} in ${item.weightBytes} bytes of weights`,
          `inputs        ${item.inputs.map(toTensorText).join("; ")}`,
          `outputs       ${item.outputs.map(toTensorText).join("; ")}`,
          `operators     ${item.nodeCount} nodes: ${Object.entries(item.operators)
            .map(([name, count]) => `${name}×${count}`)
            .join(" ")}`,
        ],
      },
    );
  },
};
