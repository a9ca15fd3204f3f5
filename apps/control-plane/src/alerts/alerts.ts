import type { Clock } from "@fairlead/kernel";
import type { Transaction } from "@fairlead/store";
import type { Announcements, StreamFeed } from "../context.ts";

export interface AlertsOptions {
  readonly clock: Clock;
  readonly createId: (prefix: string) => string;
  readonly stream: StreamFeed;
  readonly announcements: Announcements;
}

export interface AlertToFire {
  readonly kind: string;
  /** null: it is about the plane. */
  readonly device: string | null;
  readonly summary: string;
  /** The case whose alert it is; null when no case of remediation ends it. */
  readonly remediationId: string | null;
}

/** The two transitions of an alert, each with what follows: listeners of the stream and receivers of webhooks hear of both. */
export interface Alerts {
  /** @returns the alert's id */
  fire(tx: Transaction, alert: AlertToFire): Promise<string>;
  /** Nothing happens to one that is resolved. @returns whether it was firing */
  resolve(tx: Transaction, alertId: string): Promise<boolean>;
  /** Every firing one of this kind that is about the device. */
  resolveOfDevice(tx: Transaction, device: string, kind: string): Promise<void>;
}

/** What leaves the plane is bounded. */
const maxSummary = 1_000;

export function createAlerts({ clock, createId, stream, announcements }: AlertsOptions): Alerts {
  const resolve: Alerts["resolve"] = async (tx, alertId) => {
    const alert = await tx.alerts.get(alertId);
    if (alert?.state !== "firing") return false;
    const resolvedAtMs = clock.nowMs();
    await tx.alerts.resolve(alertId, resolvedAtMs);
    await stream.emit(tx, "alert", alertId);
    const { device, kind, remediationId } = alert;
    const data = { alertId, device, kind, state: "resolved", resolvedAtMs, remediationId };
    await announcements.announce(tx, { type: "alert.resolved", subject: alertId, data });
    return true;
  };
  return {
    fire: async (tx, alert) => {
      const alertId = createId("alr");
      const row = { ...alert, alertId, state: "firing", firedAtMs: clock.nowMs(), resolvedAtMs: null } as const;
      await tx.alerts.add(row);
      await stream.emit(tx, "alert", alertId);
      const { resolvedAtMs: _none, ...told } = row;
      const data = { ...told, summary: row.summary.slice(0, maxSummary) };
      await announcements.announce(tx, { type: "alert.firing", subject: alertId, data });
      return alertId;
    },
    resolve,
    resolveOfDevice: async (tx, device, kind) => {
      for (const { alertId } of await tx.alerts.listFiring({ kind, device })) await resolve(tx, alertId);
    },
  };
}
