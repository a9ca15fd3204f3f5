import { CodedError, parseWellFormedJson } from "@fairlead/kernel";
import type * as z from "zod";
import { limits } from "../limits.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Bytes of one MQTT message → typed value, whose strings are well-formed. The size is checked before anything is decoded.
 * @throws CodedError `payload_too_large` · `payload_not_json` · `payload_invalid`
 */
export function parsePayload<Schema extends z.ZodType>(schema: Schema, payload: Uint8Array): z.infer<Schema> {
  if (payload.byteLength > limits.mqttPayloadBytes) {
    throw new CodedError("payload_too_large", `${payload.byteLength} bytes exceed ${limits.mqttPayloadBytes}`);
  }
  let value: unknown;
  try {
    value = parseWellFormedJson(decoder.decode(payload));
  } catch (error) {
    throw new CodedError("payload_not_json", "the payload is not UTF-8 JSON", { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues
    .slice(0, 8)
    .map((issue) => `${issue.path.join(".") || "(root)"}: ${issue.message}`);
  throw new CodedError("payload_invalid", fields.join("; ").slice(0, 500), { cause: parsed.error });
}

const encoder = new TextEncoder();

export function toPayload(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}
