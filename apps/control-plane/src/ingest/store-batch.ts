import type { Transaction } from "@fairlead/store";
import { announce, changeDevice, type Batch, type HandlerServices } from "./batch.ts";
import { handlers } from "./handlers.ts";
import { noteEpoch, noteRepeated } from "./identity-guard.ts";
import type { DeviceMessage, Received } from "./parse-message.ts";
import { createSequenceTracker, type Position } from "./sequence.ts";

export interface Acknowledgement {
  readonly device: string;
  readonly epoch: string;
  readonly upTo: number;
}

function toPosition(received: Received): Position | undefined {
  const { device, message } = received;
  switch (message.kind) {
    case "birth":
    case "status":
    case "reported":
      return undefined;
    case "dead":
      return message.position === null ? undefined : { ...message.position, device };
    case "telemetry":
    case "event":
    case "evidence":
    case "reply":
      return { device, epoch: message.body.epoch, seq: message.body.seq };
  }
}

async function dispatch(batch: Batch, received: Received): Promise<void> {
  const { message } = received;
  // The table is keyed by the message's own kind.
  const handle = handlers[message.kind] as (batch: Batch, received: Received, message: DeviceMessage) => Promise<void>;
  await handle(batch, received, message);
}

/** Stores the messages in their order, each once; the answer is what may be acknowledged once this is committed. */
export async function storeBatch(
  tx: Transaction,
  services: HandlerServices,
  messages: readonly Received[],
): Promise<readonly Acknowledgement[]> {
  const sequences = createSequenceTracker(tx);
  const batch: Batch = { tx, services, devices: new Map(), futureNoted: new Set(), hosts: [], slots: [] };
  const lastSeen = new Map<string, number>();
  const births = new Map<string, Acknowledgement>();
  for (const received of messages) {
    const { device, receivedMs, message } = received;
    if (!batch.devices.has(device)) {
      const row = await tx.devices.get(device);
      // What was still under way when a device was let go is not its state any more.
      if (row === undefined || row.lifecycle === "decommissioned") continue;
      batch.devices.set(device, row);
    }
    lastSeen.set(device, receivedMs);
    await noteEpoch(batch, received);
    const position = toPosition(received);
    if (position !== undefined && !(await sequences.accept(position, receivedMs))) {
      await noteRepeated(batch, received, position);
      continue;
    }
    await dispatch(batch, received);
    if (message.kind === "birth") {
      const stored = await tx.sequences.getEpoch(device, message.body.epoch);
      if (stored !== undefined) births.set(device, { device, epoch: stored.epoch, upTo: stored.storedUpTo });
      // The time that a hole may stay open counts while the device is there to fill it.
      if (stored !== undefined && stored.gapSinceMs !== null)
        await tx.sequences.saveEpoch({ ...stored, gapSinceMs: receivedMs });
    }
  }
  await tx.telemetry.add(batch);
  for (const [device, lastSeenMs] of lastSeen) {
    await changeDevice(batch, device, { lastSeenMs });
    const row = batch.devices.get(device);
    if (row?.online === false && services.isConnected(device) && !isLeaving(messages, device)) {
      await changeDevice(batch, device, { online: true });
      await announce(batch, device);
    }
  }
  const acknowledgements = new Map([...births].map(([device, ack]) => [`${device}/${ack.epoch}`, ack]));
  for (const ack of await sequences.save()) acknowledgements.set(`${ack.device}/${ack.epoch}`, ack);
  return [...acknowledgements.values()];
}

function isLeaving(messages: readonly Received[], device: string): boolean {
  return messages.some(
    ({ device: sender, message }) => sender === device && message.kind === "status" && !message.body.online,
  );
}
