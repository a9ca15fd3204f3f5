import { CodedError, type Clock } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { Device, Store } from "@fairlead/store";
import type { Alerts } from "../alerts/alerts.ts";
import { clonedAlert } from "../alerts/kinds.ts";
import type { Scope } from "../authority/scope.ts";
import type { Asker, AuditLog, DeviceHooks, StreamFeed } from "../context.ts";
import { requireMatch } from "../http/middleware/preconditions.ts";
import { listChangedConfiguration } from "./changed-configuration.ts";
import { denyWaiting } from "./deny-waiting.ts";
import { noteCertificates } from "./issued-certificates.ts";
import { requireDevice } from "./require-device.ts";

export interface ReleaseOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly alerts: Pick<Alerts, "resolveOfDevice">;
  readonly hooks: () => readonly DeviceHooks[];
  readonly endSessions: (device: string) => void;
}

export interface ReleaseRequest extends Asker {
  readonly reason: string;
  /** `If-Match` holds for the request. */
  readonly headers: Headers;
  /** Which devices the caller may touch. */
  readonly scope: Scope;
}

/** How a quarantine for changed files ends. */
function toWayOut(device: Device): string {
  const changed = listChangedConfiguration(device).map(({ name }) => name);
  const end = "a quarantine for changed files ends by itself when they are right again";
  if (changed.length === 0) return end;
  return `${end}; if you changed ${changed.join(", ")}: fairlead devices release ${device.device} --accept-config --reason TEXT`;
}

/**
 * Ends the quarantine of a device whose identity was used in two places. No copy goes on with it: the certificate ends,
 * and the name waits for another key on a new token, which the operator brings to the right one.
 * @throws CodedError `not_found` · `conflict` · `precondition_failed`
 */
export function createRelease(options: ReleaseOptions): (device: string, request: ReleaseRequest) => Promise<void> {
  const { audit, clock, store, stream } = options;
  const refuse = (code: HttpErrorCode, message: string, hint: string): never => {
    throw new CodedError<HttpErrorCode>(code, message, { hint });
  };
  return (name, { reason, actor, from, headers, scope }) =>
    store.transaction(async (tx) => {
      const device = await requireDevice(tx, name, scope);
      requireMatch(headers, String(device.revision));
      const finding = device.identityWatch?.finding ?? null;
      if (device.lifecycle !== "quarantined" || finding === null)
        return refuse("conflict", `${name} is not quarantined for being used twice`, toWayOut(device));
      await tx.devices.update(name, {
        ...{ lifecycle: "pending", online: false, releasedAtMs: clock.nowMs(), revision: device.revision + 1 },
        ...{ certificateFingerprint: null, pendingCertificate: null },
      });
      await noteCertificates(tx, name, clock.nowMs());
      const deniedEnrolments = await denyWaiting(tx, stream, {
        ...{ device: name, reason: "the identity was released", nowMs: clock.nowMs() },
      });
      await options.alerts.resolveOfDevice(tx, name, clonedAlert);
      await audit.append(tx, {
        ...{ actor, from, action: "device.release", subject: name, reason },
        change: {
          before: { lifecycle: device.lifecycle, serial: device.certificateSerial },
          after: { lifecycle: "pending", serial: null },
        },
        details: { found: finding.code, deniedEnrolments },
      });
      await stream.emit(tx, "device", name);
      for (const hooks of options.hooks()) await hooks.onDeviceChanged?.(tx, name);
      tx.afterCommit(() => options.endSessions(name));
    });
}
