import { toWeights } from "./example-models.ts";
import { buildOnnxModel, type WrittenNode, type WrittenTensor } from "./onnx-writer.ts";

/** Channels and stride of each separable block, behind a first convolution of 16 channels that halves the image. */
const blocks: readonly (readonly [channels: number, stride: 1 | 2])[] = [
  [32, 1],
  [32, 2],
  [32, 1],
  [64, 2],
  [128, 1],
  ...Array.from({ length: 18 }, () => [128, 1] as const),
  [256, 2],
  [256, 1],
];

/**
 * A small detector of 320 × 240 pixels as face detectors are built for edge devices: the image is halved at once, and separable
 * convolutions (3 × 3 by channel, then 1 × 1) follow on ever smaller maps. Input `image` float32 [1, 3, 240, 320], 0.9 MB;
 * output `score` float32 [1, 256, 1, 1].
 */
export function detectorModel(): Uint8Array<ArrayBuffer> {
  const nodes: WrittenNode[] = [];
  const initializers: WrittenTensor[] = [];
  let from = "image";
  const convolve = (dims: readonly [number, number, number, number], stride: number, group: number): void => {
    const name = `c${nodes.length}`;
    const [channels, inputChannels, size] = dims;
    const fanIn = inputChannels * size * size;
    const data = toWeights(channels * fanIn, nodes.length + 1).map((weight) => weight / Math.sqrt(fanIn));
    initializers.push({ name: `${name}.w`, type: "float32", dims, data });
    const edge = (size - 1) / 2;
    const attributes = [
      { name: "pads", ints: [edge, edge, edge, edge] },
      { name: "strides", ints: [stride, stride] },
      { name: "group", int: group },
    ];
    nodes.push({ op: "Conv", inputs: [from, `${name}.w`], outputs: [name], attributes });
    nodes.push({ op: "Relu", inputs: [name], outputs: [`${name}.relu`] });
    from = `${name}.relu`;
  };
  let before = 16;
  convolve([before, 3, 3, 3], 2, 1);
  for (const [channels, stride] of blocks) {
    convolve([before, 1, 3, 3], stride, before);
    convolve([channels, before, 1, 1], 1, 1);
    before = channels;
  }
  nodes.push({ op: "GlobalAveragePool", inputs: [from], outputs: ["score"] });
  return buildOnnxModel({
    graph: {
      nodes,
      initializers,
      inputs: [{ name: "image", type: "float32", shape: [1, 3, 240, 320] }],
      outputs: [{ name: "score", type: "float32", shape: [1, before, 1, 1] }],
    },
  });
}
