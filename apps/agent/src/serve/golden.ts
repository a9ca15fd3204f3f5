import { isDatatype, parseJsonData, toElementCount, type Tensor } from "@fairlead/inference";
import { toErrorMessage } from "@fairlead/kernel";
import { ServeError } from "./serving-error.ts";

export interface GoldenCase {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly toleranceAbs: number;
  readonly toleranceRel: number;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Reads the form that `goldenSetSchema` of @fairlead/protocol states, without loading zod into this process. */
export function parseGoldenSet(bytes: Uint8Array): GoldenCase[] {
  const set = toObject(parseJson(bytes), "the golden set");
  const { cases } = set;
  if (set["v"] !== 1 || !Array.isArray(cases) || cases.length === 0 || cases.length > 256) {
    throw invalid("the golden set has no 1 to 256 cases of version 1");
  }
  return cases.map((value, index) => parseCase(toObject(value, `case ${index}`)));
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new ServeError("golden_invalid", "the golden set is no JSON", error);
  }
}

function parseCase(value: JsonObject): GoldenCase {
  const { name } = value;
  if (typeof name !== "string" || name === "") throw invalid("a case has no name");
  return {
    name,
    inputs: parseTensors(value["inputs"], name),
    outputs: parseTensors(value["outputs"], name),
    toleranceAbs: parseTolerance(value["toleranceAbs"], name),
    toleranceRel: parseTolerance(value["toleranceRel"], name),
  };
}

function parseTensors(value: unknown, caseName: string): Tensor[] {
  return Object.entries(toObject(value, `tensors of case '${caseName}'`)).map(([name, entry]) => {
    const { datatype, shape, data } = toObject(entry, `tensor '${name}'`);
    if (typeof datatype !== "string" || !isDatatype(datatype)) throw invalid(`tensor '${name}' has no known datatype`);
    if (!Array.isArray(shape) || shape.length > 8 || !shape.every((size) => Number.isInteger(size) && size >= 0)) {
      throw invalid(`tensor '${name}' has no shape`);
    }
    const dimensions = shape.map(Number);
    if (toElementCount(dimensions) > 1_000_000) throw invalid(`tensor '${name}' has more than 1,000,000 elements`);
    try {
      return { name, datatype, shape: dimensions, data: parseJsonData({ name, datatype, shape: dimensions }, data) };
    } catch (error) {
      throw new ServeError("golden_invalid", toErrorMessage(error), error);
    }
  });
}

function parseTolerance(value: unknown, caseName: string): number {
  if (typeof value !== "number" || !(value >= 0) || value > 1e9) throw invalid(`case '${caseName}' has no tolerance`);
  return value;
}

function toObject(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${what}: no JSON object`);
  return { ...value };
}

function invalid(message: string): ServeError {
  return new ServeError("golden_invalid", message);
}
