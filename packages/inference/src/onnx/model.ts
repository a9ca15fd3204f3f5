import { readAttribute } from "./attribute.ts";
import { createScope, toFunctionKey, type Scope } from "./functions.ts";
import { readGraph, type GraphSummary } from "./graph.ts";
import { InspectionError } from "./inspection-error.ts";
import { KnownValues } from "./known-values.ts";
import { readNode } from "./node.ts";
import { checkOpset, isRuntimeDomain, toDomain, toOperatorName } from "./operators.ts";
import { tooMany } from "./tally.ts";
import { quote } from "./quote.ts";
import { readValueInfo } from "./value-info.ts";
import type { Walk } from "./walk.ts";
import type { Field, Range, WireReader } from "./wire.ts";

export interface ModelHead {
  irVersion: number;
  producerName: string;
  readonly opsets: { domain: string; version: number }[];
  readonly metadata: Map<string, string>;
  readonly functions: Map<string, Scope>;
  graph: GraphSummary | null;
}

const maxOpsets = 256;

/** ModelProto. */
export function readModel(walk: Walk): ModelHead {
  const { reader } = walk;
  const { maxNoteBytes } = walk.tally.limits;
  const head: ModelHead = {
    irVersion: 0,
    producerName: "",
    opsets: [],
    metadata: new Map(),
    functions: new Map(),
    graph: null,
  };
  let entries = 0;
  for (const field = reader.fields({ start: 0, end: reader.sizeBytes }); field.next();) {
    if (field.number === 1) head.irVersion = field.value;
    else if (field.number === 2) head.producerName = toPrintable(reader.prefix(field, 256));
    else if (field.number === 6) reader.checkLength(field, maxNoteBytes, "a note");
    else if (field.number === 8) head.opsets.push(readOpset(walk, field, head.opsets.length));
    else if (field.number === 14) {
      const place = walk.trail.enter("metadata", entries, field.start);
      readMetadata(walk, reader.message(field), head.metadata);
      entries += 1;
      walk.trail.leave(place);
    } else if (field.number === 20)
      throw new InspectionError("model_too_complex", "the model holds graphs for training, which nothing here runs");
    else if (field.number === 25) readFunction(walk, reader.message(field), head.functions);
    else if (field.number === 7) {
      if (head.graph !== null) throw new InspectionError("not_onnx", "the model has two graphs");
      head.graph = readGraph(walk, reader.message(field));
    }
    if (head.opsets.length > maxOpsets) throw tooMany(maxOpsets, "operator sets");
  }
  return head;
}

function readOpset(walk: Walk, field: Field, index: number): { domain: string; version: number } {
  const place = walk.trail.enter("operator set", index, field.start);
  const opset = readOperatorSet(walk.reader, walk.reader.message(field));
  walk.trail.leave(place);
  return opset;
}

function readOperatorSet(reader: WireReader, range: Range): { domain: string; version: number } {
  let domain = "";
  let version = 0;
  for (const field = reader.fields(range); field.next();) {
    if (field.number === 1) domain = toDomain(reader.string(field));
    else if (field.number === 2) version = field.value;
  }
  return { domain, version };
}

function readMetadata({ reader, tally }: Walk, range: Range, metadata: Map<string, string>): void {
  let key = "";
  let value = "";
  for (const field = reader.fields(range); field.next();) {
    if (field.number !== 1 && field.number !== 2) continue;
    reader.checkLength(field, tally.limits.maxNoteBytes, "a note");
    if (field.number === 1) key = toPrintable(reader.prefix(field, 128));
    else value = toPrintable(reader.prefix(field, 1_024));
  }
  if (metadata.size < 64) metadata.set(key, value);
}

/**
 * FunctionProto: an operator that the model defines itself. One in a domain of the runtime is refused: either of the two
 * could run in the other's place, and an operator that is left out on purpose would pass as a function of the model.
 */
function readFunction(outer: Walk, range: Range, functions: Map<string, Scope>): void {
  const { reader, tally, trail } = outer;
  const { maxStringBytes, maxNoteBytes, maxTypeDepth } = tally.limits;
  const place = trail.enter("function", functions.size, range.start);
  const scope = createScope();
  const walk: Walk = { ...outer, scope, depth: 1, known: new KnownValues(null) };
  let domain = "";
  let overload = "";
  let nodes = 0;
  let defaults = 0;
  for (const field = reader.fields(range); field.next();) {
    if (field.number === 1) place.name = reader.string(field);
    else if (field.number === 10) domain = toDomain(reader.string(field));
    else if (field.number === 13) overload = reader.string(field);
    else if (field.number === 9) {
      const opset = readOperatorSet(reader, reader.message(field));
      checkOpset(opset.domain, opset.version);
    } else if (field.number === 7) readNode(walk, reader.message(field), nodes++);
    else if (field.number === 11) readAttribute(walk, reader.message(field), defaults++);
    else if (field.number === 12) readValueInfo(reader, reader.message(field), maxTypeDepth);
    else if (field.number >= 4 && field.number <= 6) reader.checkLength(field, maxStringBytes, "a name");
    else if (field.number === 8 || field.number === 14) reader.checkLength(field, maxNoteBytes, "a note");
  }
  if (isRuntimeDomain(domain))
    throw new InspectionError(
      "unknown_operator",
      `the model defines ${quote(toOperatorName(domain, place.name))} itself, in a domain of the runtime's own operators`,
    );
  const key = toFunctionKey(domain, place.name, overload);
  if (functions.has(key)) throw new InspectionError("not_onnx", "the model defines this function twice");
  functions.set(key, scope);
  trail.leave(place);
}

export function toPrintable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "\uFFFD");
}
