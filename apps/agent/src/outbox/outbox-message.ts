import {
  eventMessageSchema,
  evidenceMessageSchema,
  limits,
  replyMessageSchema,
  telemetryMessageSchema,
  toPayload,
  type EventData,
  type EventMessage,
  type EvidenceMessage,
  type ReplyMessage,
  type TelemetryMessage,
} from "@fairlead/protocol";

type Stamp = "v" | "epoch" | "seq" | "tsMs" | "uptimeMs";

/** What callers append, by kind; the outbox adds `v`, `epoch`, `seq`, `tsMs` and `uptimeMs`. */
export interface OutboxBodies {
  readonly telemetry: Omit<TelemetryMessage, Stamp>;
  readonly event: Omit<EventMessage, Stamp>;
  readonly evidence: Omit<EvidenceMessage, Stamp>;
  readonly reply: Omit<ReplyMessage, Stamp>;
}
export type OutboxKind = keyof OutboxBodies;

export interface MessageStamp {
  readonly epoch: string;
  readonly seq: number;
  readonly tsMs: number;
  readonly uptimeMs: number;
}

const schemas = {
  telemetry: telemetryMessageSchema,
  event: eventMessageSchema,
  evidence: evidenceMessageSchema,
  reply: replyMessageSchema,
} as const;

/** Before the year 2001 a clock is unset; the wire admits no such time, and a message must not be lost for it. */
const earliestMs = 1_000_000_000_000;

export type BuiltMessage =
  | { readonly kind: "built"; readonly payload: Uint8Array }
  | { readonly kind: "refused"; readonly code: "item_invalid" | "item_too_large"; readonly reason: string };

/**
 * Builds the bytes that will travel. What the plane would refuse is refused here already: a message that it cannot store
 * would hold up every acknowledgement behind it.
 */
export function buildMessage<Kind extends OutboxKind>(
  kind: Kind,
  body: OutboxBodies[Kind],
  stamp: MessageStamp,
): BuiltMessage {
  const { epoch, seq, tsMs, uptimeMs } = stamp;
  const message = { v: 1, epoch, seq, tsMs: Math.max(earliestMs, Math.floor(tsMs)), uptimeMs, ...body };
  const parsed = schemas[kind].safeParse(message);
  if (!parsed.success) {
    const fields = parsed.error.issues.slice(0, 5).map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    return { kind: "refused", code: "item_invalid", reason: fields.join("; ") };
  }
  const payload = toPayload(parsed.data);
  if (payload.byteLength > limits.mqttPayloadBytes) {
    return { kind: "refused", code: "item_too_large", reason: `${payload.byteLength} bytes` };
  }
  return { kind: "built", payload };
}

/** A CloudEvent that the outbox itself has to say. */
export function toEventBody(data: EventData, stamp: MessageStamp, source: string): OutboxBodies["event"] {
  return {
    event: {
      specversion: "1.0",
      id: `${stamp.epoch}-${stamp.seq}`,
      source,
      type: `io.fairlead.device.${data.kind}.v1`,
      time: new Date(Math.max(earliestMs, stamp.tsMs)).toISOString(),
      datacontenttype: "application/json",
      data,
    },
  };
}

export interface Loss {
  readonly source: string;
  readonly droppedWindows: number;
  readonly reason: string;
}

/** What takes the number of an item that will not travel, or reports items that never got one. */
export function buildLossEvent(stamp: MessageStamp, { source, droppedWindows, reason }: Loss): BuiltMessage {
  const { epoch, seq, tsMs, uptimeMs } = stamp;
  const own = { epoch, seq, tsMs, uptimeMs };
  return buildMessage("event", toEventBody({ kind: "outbox-merged", droppedWindows, reason }, own, source), own);
}
