import type { ModelVersionDetail } from "@fairlead/protocol";

export const toTensorText = (tensor: {
  readonly name: string;
  readonly elementType: string;
  readonly shape: readonly (number | string)[];
}): string => `${tensor.name} ${tensor.elementType}[${tensor.shape.join(",")}]`;

export function describeVersion(detail: ModelVersionDetail): string[] {
  const { content } = detail;
  const { classification, selfTest } = content;
  const lines = [
    `model          ${content.model} ${content.version}${content.description === "" ? "" : `: ${content.description}`}`,
    `release        ${detail.release === null ? "not signed" : `${detail.release.signed.releaseId}, until ${new Date(detail.release.signed.expiresAtMs).toISOString()}`}`,
    `classification ${classification === null ? "none: confidence and class gates have no evidence" : `${classification.output}, ${classification.labels.length} labels`}`,
    `self-test      ${selfTest.golden === null ? "no golden set" : "golden set"}, ${selfTest.latencyP95Ms === null ? "no latency bound" : `p95 ≤ ${selfTest.latencyP95Ms} ms`}`,
  ];
  for (const build of content.builds) {
    const target = [
      (build.target.arch ?? ["any arch"]).join("+"),
      (build.target.profiles ?? ["any profile"]).join("+"),
      build.target.executionProviders.join("+"),
    ].join(", ");
    lines.push(
      `build          ${build.artifact.digest.slice(0, 19)}…  ${build.precision} ${build.quantization}  ${build.artifact.sizeBytes} bytes  for ${target}`,
      `               in  ${build.inputs.map(toTensorText).join("; ")}`,
      `               out ${build.outputs.map(toTensorText).join("; ")}`,
    );
  }
  return lines;
}
