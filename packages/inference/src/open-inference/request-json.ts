import { ProtocolError } from "./protocol-error.ts";

/* Parts that the readers of a request's JSON share. */

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function parseParameters(item: JsonObject): JsonObject {
  const parameters = item["parameters"];
  if (parameters === undefined) return {};
  if (!isObject(parameters)) throw malformed("'parameters' is no JSON object");
  return parameters;
}

export function parseFlag(parameters: JsonObject, name: string): boolean | undefined {
  const value = parameters[name];
  if (value !== undefined && typeof value !== "boolean")
    throw malformed(`parameter '${name}' is neither true nor false`);
  return value;
}

/** Bytes of a region that the client has registered (Triton's system shared memory extension). */
export interface SharedRange {
  readonly region: string;
  readonly offset: number;
  readonly byteSize: number;
}

/** Region and offset of a tensor; `tensor` names it in errors. */
export function parseSharedPlace(tensor: string, parameters: JsonObject): Omit<SharedRange, "byteSize"> {
  const { shared_memory_region: region, shared_memory_offset: offset = 0 } = parameters;
  if (typeof region !== "string" || region.length > 256) throw malformed(`${tensor} names no shared memory region`);
  if (!Number.isSafeInteger(offset) || Number(offset) < 0)
    throw malformed(`${tensor} has no 'shared_memory_offset' that is a count`);
  return { region, offset: Number(offset) };
}

export function malformed(message: string): ProtocolError {
  return new ProtocolError("request_malformed", message);
}
