import type { Device, HostWindowRow, SlotWindowRow, Transaction } from "@fairlead/store";
import type { Alerts } from "../alerts/alerts.ts";
import type { RefusalAudit } from "../audit/refusal-audit.ts";
import type { AuditLog, DeviceHooks, StreamFeed } from "../context.ts";
import type { OpenDesiredStates } from "../devices/desired-states.ts";

export interface HandlerServices {
  readonly audit: AuditLog;
  readonly refusals: Pick<RefusalAudit, "append">;
  readonly stream: StreamFeed;
  readonly desired: Pick<OpenDesiredStates, "converge">;
  readonly hooks: () => readonly DeviceHooks[];
  readonly isConnected: (device: string) => boolean;
  readonly alerts: Pick<Alerts, "fire">;
}

/** The work of one transaction: rows gathered for one insert, devices read once. */
export interface Batch {
  readonly tx: Transaction;
  readonly services: HandlerServices;
  readonly devices: Map<string, Device>;
  /** Devices whose windows of the future were looked at in this transaction. */
  readonly futureNoted: Set<string>;
  readonly hosts: HostWindowRow[];
  readonly slots: SlotWindowRow[];
}

export async function changeDevice(
  batch: Batch,
  device: string,
  change: Partial<Omit<Device, "device">>,
): Promise<void> {
  const row = batch.devices.get(device);
  if (row === undefined) return;
  batch.devices.set(device, { ...row, ...change });
  await batch.tx.devices.update(device, change);
}

export async function announce(batch: Batch, device: string): Promise<void> {
  await batch.services.stream.emit(batch.tx, "device", device);
  for (const hooks of batch.services.hooks()) await hooks.onDeviceChanged?.(batch.tx, device);
}
