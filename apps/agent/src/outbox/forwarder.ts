import type { BusConnection } from "@fairlead/bus";
import {
  silentLogger,
  toBackoffDelayMs,
  toErrorMessage,
  type BackoffPolicy,
  type Logger,
  type Service,
} from "@fairlead/kernel";
import { ackSchema, hostSchema, parsePayload, toTopic, type ReplyMessage } from "@fairlead/protocol";
import type { Outbox, OutboxItem } from "./outbox.ts";

export interface ForwarderOptions {
  readonly connection: BusConnection;
  readonly outbox: Outbox;
  readonly tenant: string;
  readonly device: string;
  readonly random: () => number;
  /** Bytes that may be on their way without the plane's acknowledgement. */
  readonly windowBytes?: number;
  readonly ackTimeoutMs?: number;
  readonly backoff?: BackoffPolicy;
  readonly logger?: Logger;
}

/**
 * Sends the outbox in order and keeps no state that matters: after a reconnect, a failure or silence it begins again
 * behind the last acknowledgement, and the plane recognises what it has.
 */
export function createForwarder(options: ForwarderOptions): Service {
  const { connection, outbox, tenant, device } = options;
  const logger = options.logger ?? silentLogger;
  const windowBytes = options.windowBytes ?? 262_144;
  const ackTimeoutMs = options.ackTimeoutMs ?? 20_000;
  const backoff = options.backoff ?? { baseMs: 500, maxMs: 60_000 };
  const inFlight: { readonly seq: number; readonly bytes: number }[] = [];
  const undo: (() => void)[] = [];
  let sentSeq = 0;
  let attempt = 0;
  let started = false;
  let hostOnline = true;
  let sending = false;
  let retry: NodeJS.Timeout | undefined;
  let silence: NodeJS.Timeout | undefined;

  function toItemTopic(item: OutboxItem): string {
    if (item.kind !== "reply") return toTopic({ kind: "up", tenant, device, channel: item.kind });
    // Our own bytes, validated when they were appended.
    const { commandId } = JSON.parse(Buffer.from(item.payload).toString("utf8")) as ReplyMessage;
    return toTopic({ kind: "reply", tenant, device, commandId });
  }

  function rewind(): void {
    inFlight.length = 0;
    sentSeq = 0;
    clearTimeout(silence);
    silence = undefined;
  }

  function backOff(reason: string): void {
    rewind();
    clearTimeout(retry);
    const delayMs = toBackoffDelayMs(backoff, attempt, options.random());
    attempt += 1;
    logger.debug("will send the outbox again", { reason, delayMs, attempt });
    retry = setTimeout(() => {
      retry = undefined;
      pump();
    }, delayMs);
  }

  function expectAck(): void {
    if (silence !== undefined || inFlight.length === 0) return;
    silence = setTimeout(() => backOff("no acknowledgement came in time"), ackTimeoutMs);
  }

  function pump(): void {
    if (!started || sending || retry !== undefined || !hostOnline || !connection.connected) return;
    const room = windowBytes - inFlight.reduce((bytes, item) => bytes + item.bytes, 0);
    if (room <= 0) return;
    sending = true;
    send(room)
      .then((sent) => {
        sending = false;
        if (sent > 0) pump();
      })
      .catch((error: unknown) => {
        sending = false;
        if (started) backOff(toErrorMessage(error));
      });
  }

  /** One batch; its publications follow one another on one connection, so the order holds. */
  async function send(room: number): Promise<number> {
    const items = outbox.pending(sentSeq, room);
    const [first] = items;
    const last = items.at(-1);
    if (first === undefined || last === undefined) return 0;
    // The outbox always hands out one item; it may exceed the window only when nothing else is on its way.
    if (inFlight.length > 0 && first.payload.byteLength > room) return 0;
    outbox.markSent(last.seq);
    sentSeq = last.seq;
    for (const item of items) inFlight.push({ seq: item.seq, bytes: item.payload.byteLength });
    expectAck();
    await Promise.all(items.map((item) => connection.publish(toItemTopic(item), item.payload, { qos: 1 })));
    return items.length;
  }

  function receiveAck(payload: Uint8Array): void {
    const ack = parsePayload(ackSchema, payload);
    const result = outbox.acknowledge(ack);
    if (result.kind === "ignored") return logger.warn("an acknowledgement was ignored", { code: result.code, ...ack });
    const before = inFlight.length;
    while ((inFlight[0]?.seq ?? Infinity) <= ack.upTo) inFlight.shift();
    sentSeq = Math.max(sentSeq, ack.upTo);
    if (inFlight.length < before || result.removed > 0) {
      attempt = 0;
      clearTimeout(silence);
      silence = undefined;
    }
    expectAck();
    pump();
  }

  return {
    name: "outbox-forwarder",
    async start() {
      started = true;
      undo.push(
        outbox.onAppend(pump),
        connection.onDisconnect(rewind),
        await connection.subscribe([toTopic({ kind: "down", tenant, device, channel: "ack" })], (message) =>
          receiveAck(message.payload),
        ),
        await connection.subscribe([toTopic({ kind: "host", tenant })], (message) => {
          hostOnline = parsePayload(hostSchema, message.payload).online;
          if (hostOnline) pump();
          else rewind();
        }),
        connection.onConnect(() => {
          rewind();
          pump();
        }),
      );
    },
    async stop() {
      started = false;
      clearTimeout(retry);
      retry = undefined;
      rewind();
      for (const end of undo.splice(0)) end();
    },
  };
}
