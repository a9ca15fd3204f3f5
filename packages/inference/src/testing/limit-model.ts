import { defaultInspectionLimits } from "../onnx/limits.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

const message = () => new ProtobufWriter();

/**
 * An admissible model that has as much of everything as the static check takes: nodes, attributes, stored tensors and
 * fields. It is the longest that the check can be kept busy.
 */
export function limitModel(): Uint8Array {
  const { maxNodes, maxAttributes, maxTensors, maxFields } = defaultInspectionLimits;
  const attributes = Math.floor(maxAttributes / maxNodes) - 1;
  // Per node, beside its inputs: node, output, operator and per attribute itself, name, type and value.
  const perNode = 3 + attributes * 4;
  const perTensor = 6;
  const inputs = Math.floor((maxFields * 0.98 - maxTensors * perTensor) / maxNodes) - perNode;
  // Every node reads the same input: what they share is written once, so that a test has the model in a moment.
  const read = message();
  for (let input = 0; input < inputs; input += 1) read.string(1, "x");
  const rest = message().string(4, "Sum");
  for (let attribute = 0; attribute < attributes; attribute += 1)
    rest.message(5, message().string(1, `a${attribute}`).int(20, 2).int(3, attribute));
  const [before, after] = [read.finish(), rest.finish()];
  const graph = message();
  for (let index = 0; index < maxNodes; index += 1) {
    const output = message().string(2, index === 0 ? "y" : `n${index}`);
    graph.bytes(1, Buffer.concat([before, output.finish(), after]));
  }
  graph.string(2, "g");
  const value = new Uint8Array(4);
  for (let index = 0; index < maxTensors - 10; index += 1)
    graph.message(5, message().int(1, 1).int(2, 1).string(8, `w${index}`).bytes(9, value));
  const shape = message().message(1, message().int(1, 4));
  const toValue = (name: string) =>
    message()
      .string(1, name)
      .message(2, message().message(1, message().int(1, 1).message(2, shape)));
  graph.message(11, toValue("x")).message(12, toValue("y"));
  return message().int(1, 8).message(7, graph).message(8, message().string(1, "").int(2, 17)).finish();
}
