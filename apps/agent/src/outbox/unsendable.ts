import type { DatabaseSync } from "node:sqlite";
import { limits, telemetryMessageSchema, type TelemetryMessage } from "@fairlead/protocol";
import { toWindowCount } from "./merge-telemetry.ts";
import { buildLossEvent, type MessageStamp } from "./outbox-message.ts";

export interface UnsendableOptions {
  readonly source: string;
  /** Stands in for that of an item whose bytes do not say it. */
  readonly now: Omit<MessageStamp, "seq">;
}

/**
 * What is larger than a message was never stored by the plane and never will be, and nothing behind it would be
 * acknowledged. Its number is kept by the event that reports the loss. To be called within a transaction.
 * @returns items given up
 */
export function withdrawUnsendable(database: DatabaseSync, { source, now }: UnsendableOptions): number {
  const rows = database.prepare("SELECT seq FROM items WHERE bytes > ?").all(limits.mqttPayloadBytes);
  const read = database.prepare("SELECT payload FROM items WHERE seq = ?");
  const write = database.prepare("UPDATE items SET kind = 'event', payload = ?, bytes = ?, merged = 0 WHERE seq = ?");
  for (const row of rows) {
    const seq = Number(row["seq"]);
    const payload = read.get(seq)?.["payload"];
    if (!(payload instanceof Uint8Array)) throw new Error(`item ${seq} is missing`);
    const telemetry = readTelemetry(payload);
    const event = buildLossEvent(telemetry ?? { ...now, seq }, {
      source,
      droppedWindows: telemetry === undefined ? 1 : toWindowCount(telemetry.windows),
      reason: `${payload.byteLength} bytes are more than a message may have`,
    });
    if (event.kind !== "built") throw new Error(`the loss of item ${seq} cannot be said: ${event.reason}`);
    write.run(event.payload, event.payload.byteLength, seq);
  }
  return rows.length;
}

/** `parsePayload` refuses these by their size. */
function readTelemetry(payload: Uint8Array): TelemetryMessage | undefined {
  try {
    return telemetryMessageSchema.safeParse(JSON.parse(Buffer.from(payload).toString("utf8"))).data;
  } catch {
    return undefined;
  }
}
