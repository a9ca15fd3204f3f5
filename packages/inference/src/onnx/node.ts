import { readAttribute, type AttributeValue } from "./attribute.ts";
import { InspectionError } from "./inspection-error.ts";
import type { KnownValue } from "./known-values.ts";
import { quote } from "./quote.ts";
import type { Walk } from "./walk.ts";
import type { Range } from "./wire.ts";

/** Inputs that a rule may ask for; a node may have many more. */
const maxKeptInputs = 4;
const noAttributes: Map<string, AttributeValue> = new Map();

/** NodeProto. @param index of the node in its graph or function */
export function readNode(walk: Walk, range: Range, index: number): void {
  const { reader, tally, trail } = walk;
  const place = trail.enter("node", index, range.start);
  let domain = "";
  let overload = "";
  let firstOutput = "";
  let outputs = 0;
  const inputs: string[] = [];
  let attributes = noAttributes;
  for (const field = reader.fields(range); field.next();) {
    switch (field.number) {
      case 1:
        if (inputs.length < maxKeptInputs) inputs.push(reader.string(field));
        else reader.checkLength(field, tally.limits.maxStringBytes, "a name");
        break;
      case 2:
        if (outputs === 0) firstOutput = reader.string(field);
        else reader.checkLength(field, tally.limits.maxStringBytes, "a name");
        outputs += 1;
        break;
      case 3:
        place.name = reader.string(field);
        break;
      case 4:
        place.operator = reader.string(field);
        break;
      case 5: {
        const attribute = readAttribute(walk, reader.message(field), attributes.size);
        if (attributes === noAttributes) attributes = new Map();
        if (attributes.has(attribute.name))
          throw new InspectionError("not_onnx", `the node states its attribute ${quote(attribute.name)} twice`);
        attributes.set(attribute.name, attribute.value);
        break;
      }
      case 7:
        domain = reader.string(field);
        break;
      case 8:
        overload = reader.string(field);
        break;
      case 6:
      case 9:
      case 10:
        reader.checkLength(field, tally.limits.maxNoteBytes, "a note");
    }
  }
  const { operator } = place;
  if (operator === "") throw new InspectionError("not_onnx", "a node has no operator");
  if (operator === "Constant") addConstant(walk, firstOutput, attributes);
  tally.addNode({ operator, domain, overload, inputs, attributes, known: walk.known, place }, walk.scope);
  trail.leave(place);
}

/** A Constant has one attribute, whatever it is called for its type (docs/Operators.md of onnx, Constant). */
function addConstant(walk: Walk, name: string, attributes: ReadonlyMap<string, AttributeValue>): void {
  const [value] = attributes.values();
  const known: KnownValue = { elements: value?.elements ?? 1, values: value?.values ?? null, constant: true };
  walk.known.add(name, known, walk.trail.current);
}
