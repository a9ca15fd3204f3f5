import { toErrorCode, toErrorMessage } from "@fairlead/kernel";
import {
  birthSchema,
  epochSchema,
  eventMessageSchema,
  evidenceMessageSchema,
  limits,
  parsePayload,
  parseTopic,
  replyMessageSchema,
  reportedSchema,
  sequenceSchema,
  statusSchema,
  telemetryMessageSchema,
  type Birth,
  type EventMessage,
  type EvidenceMessage,
  type ReplyMessage,
  type Reported,
  type Status,
  type TelemetryMessage,
} from "@fairlead/protocol";
import { unknownAddress } from "../audit/own-decision.ts";
import type { Asker, Sender } from "../context.ts";

/** One message of one device as ingest works on it. `dead` is what could not be parsed. */
export type DeviceMessage =
  | { readonly kind: "birth"; readonly body: Birth }
  | { readonly kind: "status"; readonly body: Status }
  | { readonly kind: "reported"; readonly body: Reported }
  | { readonly kind: "telemetry"; readonly body: TelemetryMessage }
  | { readonly kind: "event"; readonly body: EventMessage }
  | { readonly kind: "evidence"; readonly body: EvidenceMessage }
  | { readonly kind: "reply"; readonly body: ReplyMessage }
  | {
      readonly kind: "dead";
      readonly code: string;
      readonly reason: string;
      /** Read leniently, so that one bad message is acknowledged and the device's outbox never stalls on it. */
      readonly position: { readonly epoch: string; readonly seq: number } | null;
    };

const headBytes = 512;
const decoder = new TextDecoder();

function toPosition(payload: Uint8Array): { epoch: string; seq: number } | null {
  try {
    // An oversized or cut message still shows its position: agents write `epoch` and `seq` first.
    const text = decoder.decode(payload.subarray(0, 4_096));
    const epoch = epochSchema.safeParse(/"epoch"\s*:\s*"([0-9a-z]{1,64})"/u.exec(text)?.[1]);
    const seq = sequenceSchema.safeParse(Number(/"seq"\s*:\s*(\d{1,16})(?![\d.eE])/u.exec(text)?.[1]));
    return epoch.success && seq.success ? { epoch: epoch.data, seq: seq.data } : null;
  } catch {
    return null;
  }
}

export function toDead(error: unknown, payload: Uint8Array): DeviceMessage {
  return {
    kind: "dead",
    code: toErrorCode(error) ?? "unknown",
    reason: toErrorMessage(error).slice(0, 500),
    position: toPosition(payload),
  };
}

/** The topic table of ingest: which schema reads which channel. */
export function parseMessage(topic: string, payload: Uint8Array): DeviceMessage {
  const parsed = parseTopic(topic);
  try {
    if (parsed?.kind === "reply") {
      const body = parsePayload(replyMessageSchema, payload);
      if (body.commandId === parsed.commandId) return { kind: "reply", body };
      return { kind: "dead", code: "payload_invalid", reason: "the reply is for another command", position: body };
    }
    if (parsed?.kind !== "up")
      return { kind: "dead", code: "topic_invalid", reason: "no such channel", position: null };
    switch (parsed.channel) {
      case "birth":
        return { kind: "birth", body: parsePayload(birthSchema, payload) };
      case "status":
        return { kind: "status", body: parsePayload(statusSchema, payload) };
      case "reported":
        return { kind: "reported", body: parsePayload(reportedSchema, payload) };
      case "telemetry":
        return { kind: "telemetry", body: parsePayload(telemetryMessageSchema, payload) };
      case "event":
        return { kind: "event", body: parsePayload(eventMessageSchema, payload) };
      case "evidence":
        return { kind: "evidence", body: parsePayload(evidenceMessageSchema, payload) };
    }
  } catch (error) {
    return toDead(error, payload);
  }
}

export interface Received {
  readonly device: string;
  /** Where it came from; null when the broker does not say. */
  readonly address: string | null;
  readonly topic: string;
  readonly receivedMs: number;
  readonly sizeBytes: number;
  /** First bytes, base64, kept for dead letters only. */
  readonly head: string;
  readonly message: DeviceMessage;
}

export function toReceived(options: {
  readonly device: string;
  readonly address: string | null;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly receivedMs: number;
}): Received {
  const { device, address, topic, payload, receivedMs } = options;
  const message =
    payload.byteLength > limits.mqttPayloadBytes ? toDead(tooLarge, payload) : parseMessage(topic, payload);
  const head = Buffer.from(payload.subarray(0, headBytes)).toString("base64");
  return { device, address, topic: topic.slice(0, 256), receivedMs, sizeBytes: payload.byteLength, head, message };
}

const tooLarge = { code: "payload_too_large", message: `more than ${limits.mqttPayloadBytes} bytes` };

export function toSender({ device, address }: Pick<Received, "address" | "device">): Sender {
  return { device, from: address ?? unknownAddress };
}

export function toAsker(received: Pick<Received, "address" | "device">): Asker {
  return { actor: `device:${received.device}`, from: toSender(received).from };
}
