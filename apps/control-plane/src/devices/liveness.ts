import { toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import type { Device, Store, Transaction } from "@fairlead/store";
import { toOwnDecision } from "../audit/own-decision.ts";
import type { RefusalAudit } from "../audit/refusal-audit.ts";
import type { AuditLog, DeviceHooks, StreamFeed } from "../context.ts";
import { evidenceMaxAgeMs } from "./appraise-evidence.ts";

export interface LivenessOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stream: StreamFeed;
  readonly audit: AuditLog;
  readonly refusals: Pick<RefusalAudit, "note">;
  readonly hooks: () => readonly DeviceHooks[];
  readonly offlineAfterMs: number;
  readonly keepTelemetryMs: number;
  /** Ends what is open with a certificate whose time is over, and says of which devices. */
  readonly endExpired: (nowMs: number) => readonly string[];
}

/** Marks silent devices offline and old verdicts stale, ends sessions with expired certificates, and removes telemetry past its time. */
export function createLiveness(options: LivenessOptions): Service {
  const { clock, store } = options;
  const timers: NodeJS.Timeout[] = [];

  const change = async (tx: Transaction, device: Device, to: Partial<Device>) => {
    await tx.devices.update(device.device, to);
    await options.stream.emit(tx, "device", device.device);
    for (const hook of options.hooks()) await hook.onDeviceChanged?.(tx, device.device);
  };
  const check = async () => {
    const nowMs = clock.nowMs();
    for (const silent of await store.read.devices.listSilent(nowMs - options.offlineAfterMs)) {
      await store.transaction(async (tx) => {
        const device = await tx.devices.get(silent.device);
        if (device?.online !== true || device.lastSeenMs !== silent.lastSeenMs) return;
        await change(tx, device, { online: false });
      });
    }
    // A handshake judges a certificate once; a session that outlives it was admitted with one that counts no more.
    for (const device of options.endExpired(nowMs)) {
      options.logger.warn("the certificate of a connected device expired", { device });
      await options.refusals.note({
        ...{ ...toOwnDecision("liveness"), action: "device.end-session", subject: device },
        reason: "the certificate of a connected device expired",
      });
    }
    for (const old of await store.read.devices.listVerifiedBefore(nowMs - evidenceMaxAgeMs)) {
      await store.transaction(async (tx) => {
        const device = await tx.devices.get(old.device);
        if (device?.integrity !== "verified" || device.integrityAtMs !== old.integrityAtMs) return;
        const integrityReason = `the last evidence is older than ${evidenceMaxAgeMs / 60_000} minutes`;
        await change(tx, device, { integrity: "stale", integrityReason });
        await options.audit.append(tx, {
          ...{ ...toOwnDecision("integrity"), action: "device.integrity-stale", subject: device.device },
          ...{ reason: integrityReason, change: { before: "verified", after: "stale" } },
        });
      });
    }
  };
  const clean = async () => {
    const nowMs = clock.nowMs();
    await store.transaction(async (tx) => {
      await tx.telemetry.removeReceivedBefore(nowMs - options.keepTelemetryMs);
      await tx.events.removeReceivedBefore(nowMs - options.keepTelemetryMs);
      await tx.idempotency.removeBefore(nowMs - 86_400_000);
      await tx.enrolmentTokens.removeExpiredBefore(nowMs - 7 * 86_400_000);
      await tx.deviceCertificates.removeExpired(nowMs);
    });
  };
  const every = (periodMs: number, task: () => Promise<void>) => {
    const timer = setInterval(() => {
      task().catch((error: unknown) =>
        options.logger.error("a periodic check failed", { error: toErrorMessage(error) }),
      );
    }, periodMs);
    timer.unref();
    timers.push(timer);
  };
  return {
    name: "liveness",
    start: async () => {
      // Sessions do not outlive the broker in this process: every device is offline until it is heard again.
      await store.transaction((tx) => tx.devices.markAllOffline());
      every(Math.min(5_000, options.offlineAfterMs / 4), check);
      every(3_600_000, clean);
    },
    stop: async () => {
      for (const timer of timers) clearInterval(timer);
    },
  };
}
