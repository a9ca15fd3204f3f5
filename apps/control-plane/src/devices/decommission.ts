import { CodedError, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import type { Decommission, HttpErrorCode, Topic } from "@fairlead/protocol";
import type { Device, Store, Transaction } from "@fairlead/store";
import { wholeFleet, type Scope } from "../authority/scope.ts";
import type { Alerts } from "../alerts/alerts.ts";
import { clonedAlert } from "../alerts/kinds.ts";
import type { CommandOutbox } from "../commands/command-outbox.ts";
import type { Asker, AuditLog, DeviceHooks, DeviceLink, StreamFeed } from "../context.ts";
import { requireMatch } from "../http/middleware/preconditions.ts";
import { denyWaiting } from "./deny-waiting.ts";
import { noteCertificates } from "./issued-certificates.ts";
import { requireDevice } from "./require-device.ts";

/** A device that lies in a cupboard is asked when it comes back, however late; then its certificate has ended anyway. */
const commandLifeMs = 3_652 * 86_400_000;

export interface DecommissionOptions {
  readonly tenant: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly alerts: Pick<Alerts, "resolveOfDevice">;
  readonly commands: Pick<CommandOutbox, "issue">;
  readonly link: Pick<DeviceLink, "clearRetained">;
  readonly hooks: () => readonly DeviceHooks[];
  /** Ends whatever the device has open here. */
  readonly endSessions: (device: string) => void;
}

export interface DecommissionRequest extends Asker {
  /** End it now: nobody waits for the device to say that it is empty. */
  readonly force: boolean;
  readonly reason: string;
  /** `If-Match` holds for the request. */
  readonly headers: Headers;
  /** Which devices the caller may touch. */
  readonly scope: Scope;
}

export interface Decommissions {
  /** Repeated, it changes nothing but this: a wait may be ended by force. @throws CodedError `not_found` · `conflict` */
  begin(device: string, request: DecommissionRequest): Promise<void>;
  /** The device says that it holds nothing more. @throws CodedError `not_found` · `conflict` when nobody asked it */
  confirm(device: string, by: Asker): Promise<void>;
}

function refuse(code: HttpErrorCode, message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>(code, message, { hint });
}

/** Asked → emptied → refused for ever. History, audit and the name stay; the name is given again only to another key. */
export function createDecommissions(options: DecommissionOptions): Decommissions {
  const { audit, clock, store, stream, tenant } = options;

  const announce = async (tx: Transaction, name: string): Promise<void> => {
    await stream.emit(tx, "device", name);
    for (const hooks of options.hooks()) await hooks.onDeviceChanged?.(tx, name);
  };

  const clearRetained = (device: string): void => {
    const topics: Topic[] = [
      { kind: "down", tenant, device, channel: "desired" },
      { kind: "up", tenant, device, channel: "birth" },
      { kind: "up", tenant, device, channel: "status" },
    ];
    for (const topic of topics)
      options.link
        .clearRetained(topic)
        .catch((error: unknown) =>
          options.logger.warn("a retained message was not removed", { device, error: toErrorMessage(error) }),
        );
  };

  const endCommands = async (tx: Transaction, device: string, wipe: Decommission["wipe"]): Promise<string[]> => {
    const pending = await tx.commands.listPending(device);
    for (const { commandId, document } of pending) {
      const isDone = document.signed.action.kind === "decommission" && wipe === "confirmed";
      const end = isDone
        ? ({ state: "done", code: null, reason: "the device holds nothing more" } as const)
        : ({ state: "expired", code: "decommissioned", reason: "the device was decommissioned" } as const);
      await tx.commands.end(commandId, { ...end, endedAtMs: clock.nowMs() });
    }
    return pending.map(({ commandId }) => commandId);
  };

  const end = async (tx: Transaction, device: Device, told: { readonly asker: Asker; readonly by: Decommission }) => {
    const { asker, by } = told;
    const name = device.device;
    const decommission: Decommission = { ...by, endedAtMs: clock.nowMs() };
    await tx.devices.update(name, {
      ...{ lifecycle: "decommissioned", online: false, decommission, revision: device.revision + 1 },
      ...{ certificateFingerprint: null, pendingCertificate: null },
    });
    await noteCertificates(tx, name, clock.nowMs());
    const endedCommands = await endCommands(tx, name, by.wipe);
    const deniedEnrolments = await denyWaiting(tx, stream, {
      ...{ device: name, reason: "the device was decommissioned", nowMs: clock.nowMs() },
    });
    // With the identity its doubles end too.
    await options.alerts.resolveOfDevice(tx, name, clonedAlert);
    await tx.devices.removeDesired(name);
    await audit.append(tx, {
      ...asker,
      action: "device.decommission",
      subject: name,
      reason:
        by.wipe === "confirmed"
          ? "the device removed everything and said so"
          : `${by.reason}; what lies on the device was not removed, or nobody knows`,
      change: {
        before: { lifecycle: device.lifecycle, serial: device.certificateSerial },
        after: { lifecycle: "decommissioned", serial: null },
      },
      details: { wipe: by.wipe, forced: by.forced, endedCommands, deniedEnrolments },
    });
    await announce(tx, name);
    tx.afterCommit(() => {
      options.endSessions(name);
      clearRetained(name);
    });
  };

  const ask = async (tx: Transaction, device: Device, asked: { readonly asker: Asker; readonly by: Decommission }) => {
    const name = device.device;
    await tx.devices.update(name, {
      lifecycle: "decommissioning",
      decommission: asked.by,
      revision: device.revision + 1,
    });
    await audit.append(tx, {
      ...asked.asker,
      action: "device.decommission-begin",
      subject: name,
      reason: asked.by.reason,
      change: { before: { lifecycle: device.lifecycle }, after: { lifecycle: "decommissioning" } },
    });
    await options.commands.issue(tx, {
      device: name,
      action: { kind: "decommission", reason: asked.by.reason },
      deadlineAtMs: clock.nowMs() + commandLifeMs,
      remediationId: null,
    });
    await announce(tx, name);
  };

  return {
    begin: (name, { force, reason, actor, from, headers, scope }) =>
      store.transaction(async (tx) => {
        const device = await requireDevice(tx, name, scope);
        requireMatch(headers, String(device.revision));
        if (device.lifecycle === "decommissioned") return;
        const by: Decommission = {
          ...{ requestedAtMs: clock.nowMs(), requestedBy: actor, reason, forced: force, endedAtMs: null },
          wipe: force ? "unconfirmed" : "pending",
        };
        const asker = { actor, from };
        if (force) return await end(tx, device, { asker, by });
        if (device.lifecycle === "decommissioning") return;
        if (device.certificateFingerprint === null)
          return refuse("conflict", `${name} has no certificate and cannot be asked`, "end it with force");
        await ask(tx, device, { asker, by });
      }),
    confirm: (name, asker) =>
      store.transaction(async (tx) => {
        const device = await requireDevice(tx, name, wholeFleet);
        const by = device.decommission;
        if (device.lifecycle !== "decommissioning" || by === null)
          return refuse("conflict", `nobody asked ${name} to leave`, "decommission it again; it is empty already");
        await end(tx, device, { asker, by: { ...by, wipe: "confirmed" } });
      }),
  };
}
